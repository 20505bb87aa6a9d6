package dev.podflare.sandbox;

import dev.podflare.engine.MachineShape;
import java.util.Optional;

/** The sizes that machines may have on this host. */
final class Sizes {

  private final MachineShape byDefault;
  private final MachineShape most;

  Sizes(HostLimits limits) {
    this.byDefault = limits.defaultShape();
    this.most = limits.largestShape();
  }

  /** The size that is asked for; what is left out is the host's default. */
  MachineShape of(Optional<Integer> cpus, Optional<Integer> memoryMiB, Optional<Integer> diskMiB) {
    return new MachineShape(
        within("cpus", cpus, byDefault.cpus(), 1, most.cpus(), 1),
        within("memory_mb", memoryMiB, byDefault.memoryMiB(), 256, most.memoryMiB(), 128),
        within("disk_mb", diskMiB, byDefault.diskMiB(), 256, most.diskMiB(), 256));
  }

  /** The size of a template that has only one; refused if another one is asked for. */
  static MachineShape only(
      MachineShape size,
      String template,
      Optional<Integer> cpus,
      Optional<Integer> memoryMiB,
      Optional<Integer> diskMiB) {
    requireSame("cpus", cpus, size.cpus(), template);
    requireSame("memory_mb", memoryMiB, size.memoryMiB(), template);
    requireSame("disk_mb", diskMiB, size.diskMiB(), template);
    return size;
  }

  private static void requireSame(
      String field, Optional<Integer> asked, int only, String template) {
    if (asked.isPresent() && asked.get() != only) {
      throw Refusals.invalid(
          field,
          "The template %s was built with a %s of %d, and has no other."
              .formatted(template, field, only),
          "Leave " + field + " out, or build the template in the size that you need.");
    }
  }

  /** Rounds up to whole steps, because each size costs the host a snapshot of its own. */
  private static int within(
      String field, Optional<Integer> asked, int byDefault, int least, int most, int step) {
    int value = asked.orElse(byDefault);
    if (value < least || value > most) {
      throw Refusals.invalid(
          field,
          field + " must be from " + least + " to " + most + " on this host, but is " + value + ".",
          (value < least ? "Ask for more" : "Ask for less")
              + ", or leave "
              + field
              + " out to get "
              + byDefault
              + ".");
    }
    return Math.min(most, Math.ceilDiv(value, step) * step);
  }
}
