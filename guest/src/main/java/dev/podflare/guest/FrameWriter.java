package dev.podflare.guest;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** Turns frames into bytes; frames that are written together travel together. */
final class FrameWriter {

  private final WritableByteChannel channel;
  private final ByteBuffer buffer;
  private final Supplier<@Nullable ResyncToken> token;

  /**
   * @param buffer what gathers small frames; the caller leaves it to this writer
   * @param token what must not appear among the bytes of a file; null as long as it is not known
   */
  FrameWriter(
      WritableByteChannel channel, ByteBuffer buffer, Supplier<@Nullable ResyncToken> token) {
    this.channel = channel;
    this.buffer = buffer.clear();
    this.token = token;
  }

  /** Writes a frame. {@code DATA} in which the agent would see the token goes out as several. */
  void write(Frame frame) throws IOException {
    ResyncToken known = frame.kind() == FrameKind.DATA ? token.get() : null;
    int begin = 0;
    if (known != null) {
      for (int cut = known.cutIn(frame.payload(), begin, frame.length());
          cut < frame.length();
          cut = known.cutIn(frame.payload(), begin, frame.length())) {
        write(frame, begin, cut);
        begin = cut;
      }
    }
    write(frame, begin, frame.length());
  }

  private void write(Frame frame, int begin, int end) throws IOException {
    if (buffer.remaining() < Limits.HEADER) {
      flush();
    }
    buffer.putInt(end - begin).put(frame.kind().number()).putInt(frame.stream());
    int done = begin;
    while (done < end) {
      if (!buffer.hasRemaining()) {
        flush();
      }
      int step = Math.min(buffer.remaining(), end - done);
      buffer.put(frame.payload(), done, step);
      done += step;
    }
  }

  /** Writes a new beginning. */
  void write(Resync resync) throws IOException {
    flush();
    buffer.put(resync.words());
    flush();
  }

  /** Hands to the channel what has been gathered. */
  void flush() throws IOException {
    buffer.flip();
    while (buffer.hasRemaining()) {
      channel.write(buffer);
    }
    buffer.clear();
  }
}
