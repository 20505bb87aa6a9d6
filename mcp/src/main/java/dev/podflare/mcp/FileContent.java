package dev.podflare.mcp;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * A file of a sandbox, in the forms that the protocol has.
 *
 * @param path as it was asked for
 */
@SuppressWarnings("ArrayRecordComponent") // Never compared.
record FileContent(String path, byte[] bytes) {

  private static final Map<String, String> PICTURES =
      Map.of(
          "png", "image/png",
          "jpg", "image/jpeg",
          "jpeg", "image/jpeg",
          "gif", "image/gif",
          "webp", "image/webp");

  private static final Map<String, String> TEXTS =
      Map.of(
          "json", "application/json",
          "csv", "text/csv",
          "html", "text/html",
          "md", "text/markdown",
          "py", "text/x-python",
          "svg", "image/svg+xml",
          "xml", "application/xml");

  String mimeType() {
    String end = ending();
    if (PICTURES.containsKey(end)) {
      return PICTURES.getOrDefault(end, "");
    }
    return text().isPresent() ? TEXTS.getOrDefault(end, "text/plain") : "application/octet-stream";
  }

  /** A picture as a picture, text as text, and anything else in base64. */
  ToolAnswer.Part forModel() {
    if (PICTURES.containsKey(ending())) {
      return new ToolAnswer.Picture(mimeType(), base64());
    }
    return new ToolAnswer.Text(text().orElseGet(this::base64));
  }

  /** As the contents of a resource. */
  FileResources.Contents asResource(String uri) {
    Optional<String> text = PICTURES.containsKey(ending()) ? Optional.empty() : text();
    return text.<FileResources.Contents>map(
            whole -> new FileResources.TextContents(uri, mimeType(), whole))
        .orElseGet(() -> new FileResources.BinaryContents(uri, mimeType(), base64()));
  }

  String base64() {
    return Base64.getEncoder().encodeToString(bytes);
  }

  String lenientText() {
    return new String(bytes, StandardCharsets.UTF_8);
  }

  /** The bytes as text, if that is what they are. */
  Optional<String> text() {
    try {
      String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
      return text.indexOf('\0') < 0 ? Optional.of(text) : Optional.empty();
    } catch (CharacterCodingException e) {
      return Optional.empty();
    }
  }

  private String ending() {
    String name = path.substring(path.lastIndexOf('/') + 1);
    int dot = name.lastIndexOf('.');
    return dot < 0 ? "" : name.substring(dot + 1).toLowerCase(Locale.ROOT);
  }
}
