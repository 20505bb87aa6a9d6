package dev.podflare.mcp;

/**
 * A call that could not be done, told so that a model can go on: what happened, why, and what to
 * try next.
 */
final class Failure extends RuntimeException {

  private static final long serialVersionUID = 1L;

  private final String code;
  private final String why;
  private final String next;

  private Failure(String code, String what, String why, String next) {
    super(what, null, false, false);
    this.code = code;
    this.why = why;
    this.next = next;
  }

  /** In the words of the table. */
  static Failure of(Trouble trouble) {
    return of(trouble, trouble.what());
  }

  /**
   * With a more exact word on what happened.
   *
   * @param what a sentence
   */
  static Failure of(Trouble trouble, String what) {
    return new Failure(trouble.code(), what, trouble.why(), trouble.next());
  }

  /** What the server refused, in its own words where the table has none. */
  static Failure refused(int status, String code, String what, String hint) {
    return Trouble.of(code)
        .map(known -> of(known, what))
        .orElseGet(() -> new Failure(code, what, why(status), hint));
  }

  private static String why(int status) {
    return switch (status / 100) {
      case 4 -> "The server refuses this call as it is; nothing was done.";
      default -> "The server could not do it; nothing was half done.";
    };
  }

  String code() {
    return code;
  }

  /** What the model reads. */
  String forModel() {
    return "Error " + code + ": " + sentence(what()) + "\nWhy: " + why + "\nTry next: " + next;
  }

  private String what() {
    return String.valueOf(getMessage());
  }

  private static String sentence(String text) {
    return text.isEmpty() || ".!?".indexOf(text.charAt(text.length() - 1)) >= 0 ? text : text + ".";
  }
}
