package dev.podflare.cli;

import tools.jackson.databind.JsonNode;

/** The server refused a call, and said why. */
final class Refusal extends CommandFailure {

  private static final long serialVersionUID = 1L;

  private final transient JsonNode answer;

  Refusal(int status, JsonNode answer) {
    super(sentencesOf(status, answer));
    this.answer = answer;
  }

  /** The error's name for programs. */
  String code() {
    return answer.path("code").asString("");
  }

  /** All that the server said. */
  JsonNode answer() {
    return answer;
  }

  private static String sentencesOf(int status, JsonNode answer) {
    String error = answer.path("error").asString("the server answered " + status);
    String hint = answer.path("hint").asString("");
    return (error + (error.endsWith(".") ? " " : ". ") + hint).strip();
  }
}
