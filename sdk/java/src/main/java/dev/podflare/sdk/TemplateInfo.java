package dev.podflare.sdk;

import java.time.Instant;
import java.util.Map;
import java.util.Optional;

/**
 * What the server knows about a template.
 *
 * @param name what sandboxes name it by
 * @param base the template that it was built on
 * @param version counts the builds of this name
 * @param state how far its build has come
 * @param builtin whether it belongs to the server
 * @param stale whether its base has changed since it was built
 * @param createdAt when it was built
 * @param error why the build failed
 * @param python the version of Python in it, like 3.13.5; empty for one that this key has built
 * @param pythonPackages version by name, as PyPI has both, of the main packages of Python in it;
 *     empty for one that this key has built, which may have installed others
 */
public record TemplateInfo(
    String name,
    Optional<String> base,
    int version,
    State state,
    boolean builtin,
    boolean stale,
    Optional<Instant> createdAt,
    Optional<String> error,
    Optional<String> python,
    Map<String, String> pythonPackages) {

  /** How far a build has come. */
  public enum State {
    /** Sandboxes can be created from it. */
    READY,
    /** Its build runs. */
    BUILDING,
    /** Its build failed. */
    FAILED,
    /** The server says what this version does not know. */
    UNKNOWN
  }

  static TemplateInfo of(Fields fields) {
    return new TemplateInfo(
        fields.id("name"),
        fields.optionalText("base"),
        fields.count("version"),
        Words.known(State.class, fields.text("state"), State.UNKNOWN),
        fields.truth("builtin", false),
        fields.truth("stale", false),
        fields.optionalInstant("created_at"),
        fields.optionalText("error"),
        fields.optionalText("python"),
        fields.textByName("python_packages"));
  }
}
