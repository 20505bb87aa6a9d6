package dev.podflare.mcp;

import io.modelcontextprotocol.json.McpJsonMapper;
import io.modelcontextprotocol.json.jackson3.JacksonMcpJsonMapper;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.json.JsonMapper;

/** JSON of clients, within limits. */
final class Json {

  /** A file of 6 MB in base64, and what stands around it. */
  static final int MAX_MESSAGE_BYTES = 12 << 20;

  private static final int MAX_DEPTH = 64;

  /** The mapper that the protocol's SDK works with. */
  static final McpJsonMapper MAPPER =
      new JacksonMcpJsonMapper(
          JsonMapper.builder(
                  JsonFactory.builder()
                      .streamReadConstraints(
                          StreamReadConstraints.builder()
                              .maxNestingDepth(MAX_DEPTH)
                              .maxStringLength(MAX_MESSAGE_BYTES)
                              .build())
                      .build())
              .build());

  private Json() {}

  /** The text with a replacement character in place of every half of a surrogate pair. */
  static String wellFormed(String text) {
    StringBuilder mended = new StringBuilder(text.length());
    text.codePoints()
        .forEach(c ->
            mended.appendCodePoint(
                c >= Character.MIN_SURROGATE && c <= Character.MAX_SURROGATE ? 0xFFFD : c));
    return mended.toString();
  }
}
