package dev.podflare.cli.client;

import dev.podflare.cli.text.Printable;
import java.util.Collection;
import java.util.List;
import java.util.NavigableSet;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Ids of one kind, which people read and write cut short: {@code sbx_3f2a91} or only {@code 3f2a}
 * for {@code sbx_3f2a91…}, as long as no other one begins so.
 */
public final class Ids {

  private static final int KIND_LENGTH = "sbx_".length();
  private static final int LEAST_SHOWN = KIND_LENGTH + 6;
  private static final int MOST_NAMED = 5;
  private static final Pattern BEGINNING = Pattern.compile("([a-z]{3}_)?([0-9a-f]{1,32})");

  private final String kind;
  private final String called;
  private final String listing;
  private final NavigableSet<String> all;
  private final int shown;

  /**
   * @param kind what they begin with
   * @param called what they name
   * @param listing the command that shows them
   */
  private Ids(String kind, String called, String listing, Collection<String> all) {
    this.kind = kind;
    this.called = called;
    this.listing = listing;
    this.all = new TreeSet<>(all);
    this.shown = longestShared() + 1;
  }

  public static Ids ofSandboxes(Collection<String> ids) {
    return new Ids("sbx_", "open sandbox", "podflare list", ids);
  }

  /** With those that are closed. */
  static Ids ofSandboxesEver(Collection<String> ids) {
    return new Ids("sbx_", "sandbox of a family that is left", "podflare tree", ids);
  }

  public static Ids ofSpaces(Collection<String> ids) {
    return new Ids("spc_", "Space", "podflare spaces", ids);
  }

  public static Ids ofExecs(Collection<String> ids) {
    return new Ids("exe_", "exec of this sandbox", "podflare execs ID", ids);
  }

  /** Whether this is an id in its full length, of which nothing need be looked up. */
  public boolean isWhole(String given) {
    return given.startsWith(kind) && given.length() == KIND_LENGTH + 32;
  }

  /** As short as it can be for no other one to be meant, and no shorter than can be recognized. */
  public String shorten(String id) {
    return id.substring(0, Math.min(id.length(), shown));
  }

  /** The one that begins so, with or without its kind. */
  public String meantBy(String given) throws CommandFailure {
    List<String> meant = beginningWith(given);
    if (meant.isEmpty()) {
      throw new CommandFailure(
          "no %s begins with %s; see them with: %s".formatted(called, given, listing));
    }
    if (meant.size() > 1) {
      String some =
          meant.stream().limit(MOST_NAMED).map(this::shorten).collect(Collectors.joining(", "));
      throw new CommandFailure(
          "%s may be each of %d: %s%s. Write more digits."
              .formatted(given, meant.size(), some, meant.size() > MOST_NAMED ? ", …" : ""));
    }
    return meant.getFirst();
  }

  private List<String> beginningWith(String given) throws CommandFailure {
    Matcher form = BEGINNING.matcher(given);
    if (!form.matches() || (form.group(1) != null && !form.group(1).equals(kind))) {
      throw new CommandFailure(
          Printable.line(given)
              + " is not the beginning of an id; ids are "
              + kind
              + " and hexadecimal digits.");
    }
    String beginning = kind + form.group(2);
    return all.tailSet(beginning).stream().takeWhile(id -> id.startsWith(beginning)).toList();
  }

  /** Neighbours in order share the most, so no other pair need be compared. */
  private int longestShared() {
    int longest = LEAST_SHOWN - 1;
    String before = "";
    for (String id : all) {
      int shared = 0;
      while (shared < before.length() && before.charAt(shared) == id.charAt(shared)) {
        shared++;
      }
      longest = Math.max(longest, shared);
      before = id;
    }
    return longest;
  }
}
