package dev.podflare.sandbox;

import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * Where a machine comes from: the cuts, oldest first, that it and its forebears were started from.
 *
 * <p>Ids can't tell this, because a merge gives an id another machine. Two machines of a family
 * have the cuts in common that were made before they parted; the next cut of either, or if neither
 * has one the last common one, is when they did.
 *
 * @param cuts none for a machine that was cloned from a template
 */
record Line(List<Cut> cuts) {

  /** The line of a machine that was cloned from a template. */
  static final Line ORIGIN = new Line(List.of());

  /**
   * One instant of one machine, from which others were started.
   *
   * @param id the same for all that were started from it
   * @param at by the guest's own clock, as exact as it could be found out
   */
  record Cut(String id, Instant at) {}

  Line {
    cuts = List.copyOf(cuts);
  }

  /** The line of a machine that is started from a cut of a machine of this line. */
  Line with(Cut cut) {
    List<Cut> longer = new ArrayList<>(cuts);
    longer.add(cut);
    return new Line(longer);
  }

  /** The same line, with another opinion on when its last cut was. */
  Line lastCutAt(Instant at) {
    if (cuts.isEmpty()) {
      return this;
    }
    return new Line(cuts.subList(0, cuts.size() - 1)).with(new Cut(cuts.getLast().id(), at));
  }

  /** When two machines of a family ceased to be one, by the guest's clock; empty if never. */
  Optional<Instant> partedFrom(Line other) {
    int common = 0;
    while (common < Math.min(cuts.size(), other.cuts.size())
        && cuts.get(common).id().equals(other.cuts.get(common).id())) {
      common++;
    }
    Optional<Instant> mine = at(common);
    Optional<Instant> theirs = other.at(common);
    if (mine.isEmpty() && theirs.isEmpty()) {
      return earlier(at(common - 1), other.at(common - 1));
    }
    return earlier(mine, theirs);
  }

  private Optional<Instant> at(int index) {
    return index >= 0 && index < cuts.size() ? Optional.of(cuts.get(index).at()) : Optional.empty();
  }

  private static Optional<Instant> earlier(Optional<Instant> one, Optional<Instant> other) {
    if (one.isPresent() && other.isPresent()) {
      return one.get().isBefore(other.get()) ? one : other;
    }
    return one.or(() -> other);
  }

  /** For the registry and for manifests; {@link #parse} reads it. */
  String text() {
    return cuts.stream()
        .map(cut -> cut.id() + "@" + nanosSinceEpoch(cut.at()))
        .collect(Collectors.joining(" "));
  }

  /**
   * @throws IllegalArgumentException if it is no text of a line
   */
  static Line parse(String text) {
    if (text.isEmpty()) {
      return ORIGIN;
    }
    List<Cut> cuts = new ArrayList<>();
    for (String word : text.split(" ", -1)) {
      int at = word.indexOf('@');
      if (at < 1) {
        throw new IllegalArgumentException("no line of a machine");
      }
      long nanos = Long.parseLong(word.substring(at + 1));
      cuts.add(new Cut(word.substring(0, at), Instant.EPOCH.plusNanos(nanos)));
    }
    return new Line(cuts);
  }

  /** Fits until the year 2262. */
  private static long nanosSinceEpoch(Instant time) {
    return Instant.EPOCH.until(time, ChronoUnit.NANOS);
  }
}
