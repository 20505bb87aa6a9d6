package dev.podflare.sdk.tools;

import dev.podflare.sdk.ExecResult;
import dev.podflare.sdk.Shown;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * The pictures that can be shown to a model, and a word about each that can't.
 *
 * <p>They come from code that nobody vouches for, and one bad picture would have the whole
 * conversation refused by the provider.
 */
record Pictures(List<Content.Image> images, List<String> notes) {
  private static final int MOST = 8;

  /** Characters of base64; the providers take no larger ones. */
  private static final int LARGEST = 5_000_000;

  /** Bytes that hold the longest signature. */
  private static final int HEAD = 8;

  private static final Map<String, List<String>> SIGNATURES = signatures();

  static final String TOO_MANY =
      "[a picture is left out: at most " + MOST + " are shown at once. Show it in another call]";

  static Pictures of(ExecResult result) {
    List<Content.Image> images = new ArrayList<>();
    List<String> notes = new ArrayList<>();
    for (Shown shown : result.results()) {
      kind(shown)
          .ifPresent(kind -> {
            String data = shown.data().getOrDefault(kind, "").replaceAll("\\s", "");
            Optional<String> why =
                images.size() < MOST ? whyNot(kind, data) : Optional.of(TOO_MANY);
            why.ifPresentOrElse(notes::add, () -> images.add(new Content.Image(kind, data)));
          });
    }
    return new Pictures(images, notes);
  }

  /** Whether a shown value is a picture. */
  static boolean is(Shown shown) {
    return kind(shown).isPresent();
  }

  /** One form of each value is enough. */
  private static Optional<String> kind(Shown shown) {
    return SIGNATURES.keySet().stream().filter(shown.data()::containsKey).findFirst();
  }

  private static Optional<String> whyNot(String kind, String data) {
    if (data.length() > LARGEST) {
      return Optional.of(
          String.format(
              Locale.ROOT,
              "[a picture of %,d bytes is left out: that is too large. Draw it smaller, or save it"
                  + " to a file]",
              data.length() * 3L / 4));
    }
    String start = start(data);
    if (SIGNATURES.getOrDefault(kind, List.of()).stream().noneMatch(start::startsWith)) {
      return Optional.of("[a picture is left out: its data are no " + kind + ". Draw it again]");
    }
    return Optional.empty();
  }

  /** The first bytes, or none if not all of it is base64. */
  private static String start(String data) {
    try {
      byte[] all = Base64.getDecoder().decode(data);
      return new String(all, 0, Math.min(all.length, HEAD), StandardCharsets.ISO_8859_1);
    } catch (IllegalArgumentException noBase64) {
      return ""; // Which no signature is the beginning of.
    }
  }

  private static Map<String, List<String>> signatures() {
    Map<String, List<String>> known = new LinkedHashMap<>();
    known.put("image/png", List.of("\u0089PNG\r\n\u001a\n"));
    known.put("image/jpeg", List.of("\u00ff\u00d8\u00ff"));
    known.put("image/gif", List.of("GIF87a", "GIF89a"));
    known.put("image/webp", List.of("RIFF"));
    return known;
  }
}
