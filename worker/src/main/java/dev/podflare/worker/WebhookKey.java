package dev.podflare.worker;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.Map;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.jspecify.annotations.Nullable;

/**
 * The secret with which the provider signs its webhooks, as <a
 * href="https://www.standardwebhooks.com">Standard Webhooks</a> says. It is never an argument of a
 * command, and never in a log.
 */
public final class WebhookKey {
  /** The environment variable that has it. */
  public static final String VARIABLE = "ANTHROPIC_WEBHOOK_SIGNING_KEY";

  private static final String PREFIX = "whsec_";
  private static final String ALGORITHM = "HmacSHA256";
  private static final String VERSION = "v1,";
  private static final int SHORTEST = 24;
  private static final int LONGEST = 64;
  private static final int MOST_SIGNATURES = 16;

  private final byte[] secret;

  private WebhookKey(byte[] secret) {
    this.secret = secret;
  }

  /**
   * The key of a file of mode 0600, if one is named, else that of the environment.
   *
   * @throws IllegalArgumentException there is none, or it can't be one; the text is for a person
   */
  public static WebhookKey of(@Nullable Path file, Map<String, String> environment) {
    String text =
        file == null
            ? environment.getOrDefault(VARIABLE, "").strip()
            : SecretFile.read(file, "--webhook-key-file");
    if (text.isEmpty()) {
      throw new IllegalArgumentException(
          "--webhook-addr needs the webhook's signing secret, which the provider's console shows"
              + " when the webhook is created: put it into "
              + VARIABLE
              + ", or into a file of mode 0600 that --webhook-key-file names");
    }
    byte[] secret = decoded(text);
    if (secret.length < SHORTEST || secret.length > LONGEST) {
      throw new IllegalArgumentException(
          "the webhook's signing secret is not one: it looks like whsec_…, with 24 to 64 bytes in"
              + " base64; copy it again");
    }
    return new WebhookKey(secret);
  }

  /** Whether one of the signatures of a header is the key's, for this message. */
  boolean hasSigned(String id, String timestamp, byte[] body, String signatures) {
    byte[] expected = sign(id, timestamp, body);
    boolean isFound = false;
    String[] all = signatures.split(" ", MOST_SIGNATURES + 1);
    for (int i = 0; i < Math.min(all.length, MOST_SIGNATURES); i++) {
      if (all[i].startsWith(VERSION)) {
        isFound |= MessageDigest.isEqual(expected, decoded(all[i].substring(VERSION.length())));
      }
    }
    return isFound;
  }

  private byte[] sign(String id, String timestamp, byte[] body) {
    try {
      Mac mac = Mac.getInstance(ALGORITHM);
      mac.init(new SecretKeySpec(secret, ALGORITHM));
      mac.update((id + "." + timestamp + ".").getBytes(StandardCharsets.UTF_8));
      return mac.doFinal(body);
    } catch (GeneralSecurityException impossible) {
      throw new IllegalStateException("every Java has " + ALGORITHM, impossible);
    }
  }

  /** Base64 of either alphabet, since sources differ in which it is; empty if it is none. */
  private static byte[] decoded(String text) {
    String bare = text.startsWith(PREFIX) ? text.substring(PREFIX.length()) : text;
    try {
      return Base64.getUrlDecoder()
          .decode(bare.replace('+', '-').replace('/', '_').replaceAll("=+$", ""));
    } catch (IllegalArgumentException none) {
      return new byte[0];
    }
  }

  @Override
  public String toString() {
    return "WebhookKey";
  }
}
