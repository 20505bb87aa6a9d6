package dev.podflare.cli;

import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What the server said, laid out for programs and for who reads along. */
final class JsonText {

  private JsonText() {}

  static String of(JsonNode answer) {
    return JsonMapper.shared().writerWithDefaultPrettyPrinter().writeValueAsString(answer);
  }
}
