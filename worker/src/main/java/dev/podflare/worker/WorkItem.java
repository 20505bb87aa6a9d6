package dev.podflare.worker;

import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/**
 * A session, or something else, that the environment's queue has for a worker.
 *
 * @param id its id
 * @param type what is to be done: {@code session}, or what this worker does not know
 * @param subject the session's id, or that of whatever else it is
 * @param token the credential for all calls about this item, if it came with one
 */
record WorkItem(String id, String type, String subject, Optional<String> token) {
  private static final int LONGEST_SECRET = 64 << 10;

  /** Its secret is for the provider alone. */
  @Override
  public String toString() {
    return "WorkItem[" + id + ", " + type + " " + subject + "]";
  }

  boolean isSession() {
    return type.equals("session");
  }

  static WorkItem of(JsonNode work) throws ProviderException {
    JsonNode data = work.path("data");
    return new WorkItem(
        Json.id(work, "id"),
        Json.said(data.path("type").asString("")),
        Json.id(data, "id"),
        token(work.path("secret").asString("")));
  }

  /** The secret is base64url, padded or not, of a JSON object which has the token. */
  private static Optional<String> token(String secret) {
    if (secret.isEmpty() || secret.length() > LONGEST_SECRET) {
      return Optional.empty();
    }
    try {
      byte[] bytes =
          Base64.getUrlDecoder()
              .decode(secret.replace('+', '-').replace('/', '_').replaceAll("=+$", ""));
      String token = Json.read(bytes).path("sessions_token").asString("");
      return Optional.of(token).filter(WorkItem::mayBeHeader);
    } catch (IllegalArgumentException | ProviderException undecodable) {
      return Optional.empty(); // The environment's key serves as well, so this is no failure.
    }
  }

  static boolean mayBeHeader(String text) {
    return !text.isEmpty()
        && text.length() == text.getBytes(StandardCharsets.US_ASCII).length
        && text.chars().allMatch(c -> c > ' ' && c < 0x7F);
  }
}
