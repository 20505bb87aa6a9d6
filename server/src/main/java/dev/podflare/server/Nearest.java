package dev.podflare.server;

import java.util.Collection;
import java.util.Comparator;
import java.util.Locale;
import java.util.Optional;

/** Guesses which name was meant by one that is not known. */
final class Nearest {

  /** A longer name is no slip of the pen. */
  private static final int LONGEST = 64;

  private static final int LEAST_BEGINNING = 3;

  private Nearest() {}

  /** The candidate that is so like this name that it may be meant; empty if none is. */
  static Optional<String> of(String name, Collection<String> candidates) {
    String plain = plain(name);
    if (plain.isEmpty() || plain.length() > LONGEST) {
      return Optional.empty();
    }
    int most = Math.max(1, plain.length() / 3);
    return candidates.stream()
        .filter(candidate -> candidate.length() <= LONGEST)
        .filter(candidate -> distance(plain, plain(candidate)) <= most)
        .min(Comparator.comparingInt(candidate -> distance(plain, plain(candidate))));
  }

  private static String plain(String name) {
    return name.toLowerCase(Locale.ROOT).replace("_", "").replace("-", "");
  }

  /** How many letters to change, add, drop or swap; one if the one begins with the other. */
  private static int distance(String one, String other) {
    if (Math.min(one.length(), other.length()) >= LEAST_BEGINNING
        && (one.startsWith(other) || other.startsWith(one))) {
      return one.length() == other.length() ? 0 : 1;
    }
    int[] beforeLast = new int[other.length() + 1];
    int[] last = new int[other.length() + 1];
    for (int j = 0; j <= other.length(); j++) {
      last[j] = j;
    }
    for (int i = 1; i <= one.length(); i++) {
      int[] now = new int[other.length() + 1];
      now[0] = i;
      for (int j = 1; j <= other.length(); j++) {
        boolean same = one.charAt(i - 1) == other.charAt(j - 1);
        now[j] = Math.min(Math.min(now[j - 1], last[j]) + 1, last[j - 1] + (same ? 0 : 1));
        boolean swapped =
            i > 1
                && j > 1
                && one.charAt(i - 1) == other.charAt(j - 2)
                && one.charAt(i - 2) == other.charAt(j - 1);
        if (swapped) {
          now[j] = Math.min(now[j], beforeLast[j - 2] + 1);
        }
      }
      beforeLast = last;
      last = now;
    }
    return last[other.length()];
  }
}
