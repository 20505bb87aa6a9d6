package dev.podflare.guest;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ReadableByteChannel;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Cuts the bytes that a guest sends into frames. Memory is taken for bytes that have arrived, never
 * for bytes that were only announced.
 */
final class FrameReader {

  private final ReadableByteChannel channel;
  private final ByteBuffer buffer;

  /**
   * @param buffer what lies between the channel and the frames; the caller leaves it to this reader
   */
  FrameReader(ReadableByteChannel channel, ByteBuffer buffer) {
    this.channel = channel;
    this.buffer = buffer.clear().limit(0);
  }

  /**
   * Waits for the next frame.
   *
   * @return null if the channel ended between two frames
   * @throws EOFException if it ended within one
   */
  @Nullable Frame next() throws IOException, ProtocolViolation {
    while (buffer.remaining() < Limits.HEADER) {
      boolean betweenFrames = !buffer.hasRemaining();
      if (!fill()) {
        if (betweenFrames) {
          return null;
        }
        throw new EOFException("the channel ended within a frame");
      }
    }
    int length = buffer.getInt();
    FrameKind kind = FrameKind.fromGuest(buffer.get(), length);
    int stream = buffer.getInt();
    return new Frame(kind, stream, payload(length));
  }

  /**
   * Throws away bytes up to and with the first occurrence of these.
   *
   * @throws ProtocolViolation if they are not among the first {@code most} and a buffer's more
   */
  void skipPast(byte[] mark, long most) throws IOException, ProtocolViolation {
    long skipped = 0;
    while (true) {
      int last = buffer.limit() - mark.length;
      while (buffer.position() <= last) {
        if (startsWith(mark)) {
          buffer.position(buffer.position() + mark.length);
          return;
        }
        buffer.get();
        skipped++;
      }
      if (skipped > most) {
        throw new ProtocolViolation("it went on talking where it was to begin anew");
      }
      if (!fill()) {
        throw new EOFException("the channel ended before the guest answered");
      }
    }
  }

  private boolean startsWith(byte[] mark) {
    int at = buffer.position();
    for (int i = 0; i < mark.length; i++) {
      if (buffer.get(at + i) != mark[i]) {
        return false;
      }
    }
    return true;
  }

  /** Waits for four bytes, which are a number. */
  int number() throws IOException {
    while (buffer.remaining() < Integer.BYTES) {
      if (!fill()) {
        throw new EOFException("the channel ended before the guest had answered");
      }
    }
    return buffer.getInt();
  }

  private byte[] payload(int length) throws IOException {
    byte[] payload = new byte[Math.min(length, Limits.BLOCK)];
    int have = 0;
    while (have < length) {
      if (!buffer.hasRemaining() && !fill()) {
        throw new EOFException("the channel ended within a frame");
      }
      if (have == payload.length) {
        payload = Arrays.copyOf(payload, Math.min(length, 2 * have));
      }
      int step = Math.min(buffer.remaining(), payload.length - have);
      buffer.get(payload, have, step);
      have += step;
    }
    return payload;
  }

  private boolean fill() throws IOException {
    buffer.compact();
    try {
      return channel.read(buffer) >= 0;
    } finally {
      buffer.flip();
    }
  }
}
