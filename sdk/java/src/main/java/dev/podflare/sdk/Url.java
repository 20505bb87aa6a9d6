package dev.podflare.sdk;

import java.nio.charset.StandardCharsets;

/** Percent-encoding, as the standard has it; the JDK only knows the one of HTML forms. */
final class Url {
  private static final String UNRESERVED = "-._~";
  private static final String HEX = "0123456789ABCDEF";

  private Url() {}

  /** One part of a path. */
  static String part(String text) {
    return encode(text, UNRESERVED);
  }

  /** A name or a value of a query, in which a slash may stand. */
  static String query(String text) {
    return encode(text, UNRESERVED + "/");
  }

  private static String encode(String text, String kept) {
    StringBuilder encoded = new StringBuilder(text.length() + 16);
    for (byte each : text.getBytes(StandardCharsets.UTF_8)) {
      int octet = each & 0xFF;
      boolean plain =
          isBetween('a', octet, 'z')
              || isBetween('A', octet, 'Z')
              || isBetween('0', octet, '9')
              || kept.indexOf(octet) >= 0;
      if (plain) {
        encoded.append((char) octet);
      } else {
        encoded.append('%').append(HEX.charAt(octet >> 4)).append(HEX.charAt(octet & 15));
      }
    }
    return encoded.toString();
  }

  private static boolean isBetween(char first, int octet, char last) {
    return octet >= first && octet <= last;
  }
}
