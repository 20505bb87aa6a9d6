package dev.podflare.sandbox;

import java.util.concurrent.Semaphore;

/**
 * Memory of this process for what terminals said, so that hundreds of talkative ones don't fill its
 * heap. When it is used up, a terminal keeps less.
 */
final class ScrollbackRoom {

  /** Some thirty terminals that all keep as much as they may. */
  private static final int BYTES = 32 << 20;

  /** There is one heap, and so one of these; tests have their own. */
  static final ScrollbackRoom OF_THIS_PROCESS = new ScrollbackRoom(BYTES / Scrollback.CHUNK);

  private final Semaphore chunks;

  ScrollbackRoom(int chunks) {
    this.chunks = new Semaphore(chunks);
  }

  boolean takeChunk() {
    return chunks.tryAcquire();
  }

  void giveBack(int count) {
    chunks.release(count);
  }

  int free() {
    return chunks.availablePermits();
  }
}
