package dev.podflare.guest;

/** The numbers of docs/agent-protocol.md, and those by which the host bounds a guest on its own. */
final class Limits {

  /** Bytes of a frame's header: length, kind, stream. */
  static final int HEADER = 9;

  /** The longest payload of any frame. */
  static final int PAYLOAD = 2 << 20;

  /** The longest payload of a frame that carries raw bytes. */
  static final int BLOCK = 64 << 10;

  /** The longest {@code HELLO}. */
  static final int HELLO = 4 << 10;

  /** What each direction of a stream may carry before its reader gives credit. */
  static final int WINDOW = 256 << 10;

  /** Credit is given back in steps of this. */
  static final int CREDIT_STEP = WINDOW / 2;

  /** Output of one exec that is kept; what goes beyond is counted only. */
  static final long OUTPUT = 10L << 20;

  /** Streams that may be open at once on one connection. */
  static final int STREAMS = 64;

  /**
   * Pieces of one stream that wait for their reader. Credit bounds their bytes; this bounds what
   * tiny pieces cost beside their bytes.
   */
  static final int PIECES = 16 << 10;

  /** The number of the last stream that may be opened on one channel. */
  static final int LAST_STREAM = Integer.MAX_VALUE - 1024;

  /**
   * What a guest may have had on its way, and is thrown away, before it answers a new beginning.
   */
  static final long BEFORE_RESYNC = 8L << 20;

  /** The longest {@code CLOSED} of an operation that has no list to give. */
  static final int CLOSED = 64 << 10;

  /** The longest {@code STARTED}. */
  static final int STARTED = 1 << 10;

  /** Terminals of before that a guest tells of. */
  static final int TERMINALS = 64;

  /** Columns and lines of a terminal. */
  static final int TERMINAL_SIDE = 10_000;

  /** Characters of the name of a terminal. */
  static final int TERMINAL_NAME = 128;

  /** Entries in one listing. */
  static final int ENTRIES = 10_000;

  /** Entries of a writable layer that are told at once. */
  static final int CHANGES = 200_000;

  /** Characters of all their paths. */
  static final int CHANGED_PATHS = 16 << 20;

  /** Globals that are told at once. */
  static final int VARIABLES = 5_000;

  /** Characters of a file's name. */
  static final int NAME = 4096;

  /** Representations of one result. */
  static final int REPRESENTATIONS = 64;

  /** Characters of a MIME type. */
  static final int MIME_TYPE = 256;

  /** Characters of a sentence in which the guest says why it refuses. */
  static final int SENTENCE = 1024;

  /** The longest time that an exec is believed to have taken: some 300 years. */
  static final long LONGEST_EXEC_MS = 10_000_000_000_000L;

  /** Marks kinds of frames that a guest never sends. */
  static final int NEVER_FROM_GUEST = -1;

  private Limits() {}
}
