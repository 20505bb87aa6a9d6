package dev.podflare.sandbox;

import dev.podflare.engine.MachineShape;
import java.time.Instant;
import java.util.Optional;
import java.util.SortedMap;

/**
 * What is known of a template.
 *
 * @param base what it was built on; empty for one that every host has
 * @param version of what sandboxes are made from; 0 while there is none
 * @param builtIn whether every host has it
 * @param stale whether what it was built on has changed since. It can be used all the same
 * @param shape the size of its sandboxes; empty if they can have any
 * @param createdAt when the build began that {@code version} means, or else the last one
 * @param error why the last build failed, or why it can't be used on this host
 * @param python the version of Python in it; empty for one that a user built, as that may be
 *     changed
 * @param pythonPackages version by name, as PyPI has both, of the main packages of Python in it;
 *     empty for one that a user built
 */
public record TemplateInfo(
    String name,
    Optional<String> base,
    int version,
    State state,
    boolean builtIn,
    boolean stale,
    Optional<MachineShape> shape,
    Optional<Instant> createdAt,
    Optional<String> error,
    Optional<String> python,
    SortedMap<String, String> pythonPackages) {

  /** What can be done with it. */
  public enum State {
    /** Sandboxes can be made from it. */
    READY,
    /** A build goes on; if there is a version, sandboxes can be made from that meanwhile. */
    BUILDING,
    /** No sandbox can be made from it. */
    FAILED
  }
}
