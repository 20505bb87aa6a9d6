package dev.podflare.guest;

/** What a stream can be opened for, and what may then travel on it. */
enum Operation {
  EXEC("exec"),
  REJOIN("rejoin"),
  PUT("put"),
  GET("get"),
  LIST("list"),
  REMOVE("remove"),
  STAT("stat"),
  WAKE("wake"),
  PING("ping"),
  CHANGES("changes"),
  NODES("nodes"),
  DIGESTS("digests"),
  BIRTHS("births"),
  VARIABLES("variables"),
  PACK("pack"),
  UNPACK("unpack"),
  PTY("pty"),
  PTYS("ptys"),
  FOREGROUND("foreground");

  private final String word;

  Operation(String word) {
    this.word = word;
  }

  String word() {
    return word;
  }

  /** Whether the guest may send frames of this kind before it closes. */
  boolean carries(FrameKind kind) {
    return switch (kind) {
      case STDOUT, STDERR, RESULT, ERROR -> this == EXEC;
      case STARTED -> this == PTY;
      case HOLE -> this == GET;
      case DATA ->
          switch (this) {
            case GET, CHANGES, NODES, DIGESTS, BIRTHS, VARIABLES, PACK, PTY -> true;
            default -> false;
          };
      default -> false;
    };
  }

  /** Whether the host sends data, for which the guest gives credit. */
  boolean takesData() {
    return switch (this) {
      case PUT, NODES, DIGESTS, BIRTHS, PACK, UNPACK, PTY -> true;
      default -> false;
    };
  }

  /** Whether the guest can be told that nobody cares any more. */
  boolean canBeLeft() {
    return this == EXEC || this == REJOIN || takesData() || carries(FrameKind.DATA);
  }

  int longestClosed() {
    return this == LIST || this == PTYS ? Limits.PAYLOAD : Limits.CLOSED;
  }
}
