package dev.podflare.sandbox;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Iterator;

/**
 * The last bytes that a terminal said, by their position among all that it ever did.
 *
 * <p>Takes memory chunk by chunk as bytes come. The first few chunks are free; for more there must
 * be {@link ScrollbackRoom}, and where there is none the oldest chunk makes place. Not safe for use
 * by several threads.
 */
final class Scrollback {

  /** As much is kept at least, if there is room. */
  static final int KEPT = 1 << 20;

  static final int CHUNK = 8 << 10;

  /** One terminal always has these, and so much can be unread without being lost. */
  static final int FREE_CHUNKS = 4;

  /** One more than {@link #KEPT}, as the oldest and the newest are not whole. */
  private static final int MOST_CHUNKS = KEPT / CHUNK + 1;

  private final ScrollbackRoom room;
  private final ArrayDeque<byte[]> chunks = new ArrayDeque<>();
  private long begin;
  private long end;

  Scrollback(ScrollbackRoom room) {
    this.room = room;
  }

  /** Where the oldest byte is that a reader gets who begins now. */
  long begin() {
    return Math.max(begin, end - KEPT);
  }

  /** Where the next byte will be. */
  long end() {
    return end;
  }

  /** Takes in everything that the buffer has left. */
  void append(ByteBuffer bytes) {
    while (bytes.hasRemaining()) {
      int used = (int) (end % CHUNK);
      if (used == 0) {
        chunks.add(newChunk());
      }
      int step = Math.min(bytes.remaining(), CHUNK - used);
      bytes.get(chunks.getLast(), used, step);
      end += step;
    }
  }

  private byte[] newChunk() {
    boolean more = chunks.size() < FREE_CHUNKS || (chunks.size() < MOST_CHUNKS && room.takeChunk());
    if (more) {
      return new byte[CHUNK];
    }
    begin += CHUNK;
    return chunks.remove();
  }

  /** At most so many bytes from a position on, which is from {@link #begin()} to {@link #end()}. */
  byte[] read(long from, int most) {
    byte[] bytes = new byte[(int) Math.min(most, end - from)];
    long at = from;
    long chunkBegin = begin;
    Iterator<byte[]> each = chunks.iterator();
    while (at < from + bytes.length) {
      byte[] chunk = each.next();
      if (at < chunkBegin + CHUNK) {
        int step = (int) (Math.min(from + bytes.length, chunkBegin + CHUNK) - at);
        System.arraycopy(chunk, (int) (at - chunkBegin), bytes, (int) (at - from), step);
        at += step;
      }
      chunkBegin += CHUNK;
    }
    return bytes;
  }

  /** Forgets everything, and gives its memory back. Nothing is appended any more. */
  void clear() {
    room.giveBack(Math.max(0, chunks.size() - FREE_CHUNKS));
    chunks.clear();
    begin = end;
  }
}
