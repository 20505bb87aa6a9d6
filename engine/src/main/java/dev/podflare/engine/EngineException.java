package dev.podflare.engine;

/** A microVM could not do what was asked. The message is a sentence for the operator. */
public final class EngineException extends Exception {

  private static final long serialVersionUID = 1L;

  /** What a caller may want to tell apart. */
  public enum Kind {
    /** The machine has ended. */
    GONE,
    /** The host has no room (memory, disk, addresses). */
    NO_ROOM,
    /** A snapshot does not fit this engine, or is not whole. */
    SNAPSHOT_MISMATCH,
    /** Anything else; the message and the cause say what. */
    FAILED
  }

  private final Kind kind;

  public EngineException(Kind kind, String message) {
    super(message);
    this.kind = kind;
  }

  public EngineException(Kind kind, String message, Throwable cause) {
    super(message, cause);
    this.kind = kind;
  }

  public Kind kind() {
    return kind;
  }
}
