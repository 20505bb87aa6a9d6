package dev.podflare.sdk.tools;

/** What the model did wrong, in sentences that it can act on. */
final class Misuse extends Exception {
  private static final long serialVersionUID = 1L;

  Misuse(String told) {
    super(told);
  }

  ToolAnswer answer() {
    return ToolAnswer.told("error: " + getMessage(), true);
  }
}
