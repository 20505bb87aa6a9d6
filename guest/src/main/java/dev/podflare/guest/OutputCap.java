package dev.podflare.guest;

/** Counts the output of one exec, and says how much of it is kept. */
final class OutputCap {

  private long room = Limits.OUTPUT;
  private long dropped;
  private boolean failed;

  /**
   * How many bytes of a frame are kept, from its first on. Raw bytes are cut at the cap; a result
   * is kept whole or not at all; an error always is, but only one.
   */
  int admit(FrameKind kind, int length) {
    int kept =
        switch (kind) {
          case STDOUT, STDERR -> (int) Math.min(room, length);
          case RESULT -> length <= room ? length : 0;
          case ERROR -> failed ? 0 : length;
          default -> length;
        };
    if (kind == FrameKind.ERROR) {
      failed = true;
    } else {
      room -= kept;
    }
    dropped += length - kept;
    return kept;
  }

  /** Counts bytes as dropped that were dropped elsewhere. */
  void drop(int length) {
    dropped += length;
  }

  /** Bytes that were not kept. */
  long dropped() {
    return dropped;
  }
}
