package dev.podflare.guest;

/**
 * The kinds of frames, their numbers on the wire, and how long one may be when the guest sends it.
 */
enum FrameKind {
  OPEN(1, Limits.NEVER_FROM_GUEST),
  DATA(2, Limits.BLOCK),
  END(3, Limits.NEVER_FROM_GUEST),
  CREDIT(4, Integer.BYTES),
  CANCEL(5, Limits.NEVER_FROM_GUEST),
  CONTROL(6, Limits.NEVER_FROM_GUEST),
  HELLO(16, Limits.HELLO),
  STDOUT(17, Limits.BLOCK),
  STDERR(18, Limits.BLOCK),
  RESULT(19, Limits.PAYLOAD),
  ERROR(20, Limits.PAYLOAD),
  CLOSED(21, Limits.PAYLOAD),
  STARTED(22, Limits.STARTED),
  HOLE(23, Long.BYTES);

  private static final FrameKind[] BY_NUMBER = new FrameKind[24];

  static {
    for (FrameKind kind : values()) {
      BY_NUMBER[kind.number] = kind;
    }
  }

  private final byte number;
  private final int longestFromGuest;

  FrameKind(int number, int longestFromGuest) {
    this.number = (byte) number;
    this.longestFromGuest = longestFromGuest;
  }

  byte number() {
    return number;
  }

  /** Whether two frames that follow each other mean the same as one that holds both payloads. */
  boolean isBytes() {
    return this == DATA || this == STDOUT || this == STDERR;
  }

  /**
   * The kind of a frame whose header the guest sent.
   *
   * @throws ProtocolViolation if there is no such kind, it is the host's to send, or it is never so
   *     long
   */
  static FrameKind fromGuest(byte number, int length) throws ProtocolViolation {
    FrameKind kind = number < 0 || number >= BY_NUMBER.length ? null : BY_NUMBER[number];
    if (kind == null) {
      throw new ProtocolViolation("it sent a frame of the unknown kind " + (number & 0xFF));
    }
    if (kind.longestFromGuest == Limits.NEVER_FROM_GUEST) {
      throw new ProtocolViolation("it sent " + kind + ", which only the host sends");
    }
    if (length < 0 || length > kind.longestFromGuest) {
      throw new ProtocolViolation(
          "it announced %s of %,d bytes, and the longest is %,d"
              .formatted(kind, Integer.toUnsignedLong(length), kind.longestFromGuest));
    }
    return kind;
  }
}
