package dev.podflare.guest;

/** One frame. Nobody changes its payload once it is in here. */
final class Frame {

  private static final byte[] NOTHING = {};

  private final FrameKind kind;
  private final int stream;
  private final byte[] payload;
  private final int length;

  Frame(FrameKind kind, int stream) {
    this(kind, stream, NOTHING);
  }

  Frame(FrameKind kind, int stream, byte[] payload) {
    this(kind, stream, payload, payload.length);
  }

  /** A frame whose payload is the beginning of an array. */
  Frame(FrameKind kind, int stream, byte[] payload, int length) {
    this.kind = kind;
    this.stream = stream;
    this.payload = payload;
    this.length = length;
  }

  /** A frame that gives so many bytes of credit. */
  static Frame credit(int stream, int bytes) {
    byte[] payload = {
      (byte) (bytes >>> 24), (byte) (bytes >>> 16), (byte) (bytes >>> 8), (byte) bytes
    };
    return new Frame(FrameKind.CREDIT, stream, payload);
  }

  FrameKind kind() {
    return kind;
  }

  int stream() {
    return stream;
  }

  /** The array whose first {@link #length()} bytes are the payload. */
  byte[] payload() {
    return payload;
  }

  int length() {
    return length;
  }

  @Override
  public String toString() {
    return kind + "[stream=" + Integer.toUnsignedString(stream) + ", length=" + length + "]";
  }
}
