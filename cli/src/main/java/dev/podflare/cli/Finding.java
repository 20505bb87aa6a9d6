package dev.podflare.cli;

import java.util.Locale;

/**
 * What the doctor found about one precondition.
 *
 * @param what is looked at, in a word or two
 * @param detail what was found
 * @param remedy what to do about it; empty if nothing
 */
record Finding(String what, State state, String detail, String remedy) {

  /** How bad it is. */
  enum State {
    OK,
    /** It works, but less well than it could. */
    NOTE,
    /** No sandbox can run. */
    MISSING;

    String word() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  static Finding ok(String what, String detail) {
    return new Finding(what, State.OK, detail, "");
  }

  static Finding note(String what, String detail, String remedy) {
    return new Finding(what, State.NOTE, detail, remedy);
  }

  static Finding missing(String what, String detail, String remedy) {
    return new Finding(what, State.MISSING, detail, remedy);
  }
}
