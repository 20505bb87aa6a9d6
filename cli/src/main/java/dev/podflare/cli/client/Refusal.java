package dev.podflare.cli.client;

import java.net.HttpURLConnection;
import tools.jackson.databind.JsonNode;

/** The server refused a call, and said why. */
public final class Refusal extends CommandFailure {

  private static final long serialVersionUID = 1L;

  private final transient JsonNode answer;

  Refusal(int status, JsonNode answer, ServerAddress server) {
    super(sentencesOf(status, answer, server));
    this.answer = answer;
  }

  /** The error's name for programs. */
  public String code() {
    return answer.path("code").asString("");
  }

  /** All that the server said. */
  public JsonNode answer() {
    return answer;
  }

  private static String sentencesOf(int status, JsonNode answer, ServerAddress server) {
    String error =
        answer
            .path("error")
            .asString("the server at " + server.inWords() + " answered with status " + status);
    String hint =
        status == HttpURLConnection.HTTP_UNAUTHORIZED
            ? keyOf(server)
            : CommandWords.of(answer.path("hint").asString(""));
    return (CommandWords.of(error) + (error.endsWith(".") ? " " : ". ") + hint).strip();
  }

  /** Which key was refused, and by whom: what the server can't know. */
  private static String keyOf(ServerAddress server) {
    return server.key().isEmpty()
        ? "No key is configured for %s: set PODFLARE_API_KEY, or use --api-key-file."
            .formatted(server.inWords())
        : "The key came from %s, and was sent to %s."
            .formatted(server.keySource(), server.inWords());
  }
}
