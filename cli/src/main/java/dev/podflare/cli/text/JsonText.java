package dev.podflare.cli.text;

import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What the server said, laid out for programs and for who reads along. */
public final class JsonText {

  private JsonText() {}

  public static String of(JsonNode answer) {
    return JsonMapper.shared().writerWithDefaultPrettyPrinter().writeValueAsString(answer);
  }
}
