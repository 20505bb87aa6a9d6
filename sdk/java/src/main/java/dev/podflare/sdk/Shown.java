package dev.podflare.sdk;

import java.util.Base64;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * A value that code has shown: its last expression, a figure, or what it passed to {@code display}.
 *
 * {@snippet :
 * import dev.podflare.sdk.*;
 * import java.nio.file.*;
 *
 * try (Sandbox sb = Podflare.create(o -> o.template("python-datasci"))) {
 *   ExecResult r = sb.run("import matplotlib.pyplot as plt; plt.plot([1, 4, 9]); plt.show()");
 *   Files.write(Path.of("plot.png"), r.result().orElseThrow().png().orElseThrow());
 * }
 * }
 *
 * @param data by MIME type, always with {@code text/plain}; binary types in base64
 */
public record Shown(Map<String, String> data) {
  public Shown {
    data = Collections.unmodifiableMap(new LinkedHashMap<>(data));
  }

  /** The value as text, as a notebook would print it. */
  public String text() {
    return data.getOrDefault("text/plain", "");
  }

  /** The value as HTML, which data frames have. */
  public Optional<String> html() {
    return Optional.ofNullable(data.get("text/html"));
  }

  /**
   * The value as an image, which figures have.
   *
   * @throws ServerException what the sandbox sent as an image is no base64
   */
  public Optional<byte[]> png() {
    try {
      return Optional.ofNullable(data.get("image/png"))
          .map(text -> Base64.getMimeDecoder().decode(text));
    } catch (IllegalArgumentException broken) {
      throw Failures.badAnswer("the image is no base64", broken);
    }
  }
}
