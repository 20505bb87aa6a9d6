package dev.podflare.sdk;

import java.time.Instant;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/**
 * What differs between two sandboxes, seen from the first to the second.
 *
 * @param added paths of files that only the second has
 * @param removed paths of files that only the first has
 * @param modified paths of files that both have
 * @param details the same by path
 * @param variables Python's globals, if they were asked for
 * @param truncated whether there is more than is told here
 */
public record Difference(
    List<String> added,
    List<String> removed,
    List<String> modified,
    Map<String, Change> details,
    Optional<Variables> variables,
    boolean truncated) {

  /**
   * What became of one file.
   *
   * @param changed what of a modified one is another: {@code type}, {@code content}, {@code mode},
   *     {@code target}
   * @param from the file in the first sandbox
   * @param to the file in the second sandbox
   * @param text the change in unified format, if it was asked for and the file is small text
   */
  public record Change(
      List<String> changed,
      Optional<FileState> from,
      Optional<FileState> to,
      Optional<String> text) {
    static Change of(Fields fields) {
      return new Change(
          fields.texts("changed"),
          fields.object("from").map(FileState::of),
          fields.object("to").map(FileState::of),
          fields.optionalText("text"));
    }
  }

  /**
   * A file in one of the two sandboxes.
   *
   * @param type {@code file}, {@code directory}, {@code symlink} or {@code other}
   * @param size in bytes
   * @param mode permissions in octal
   * @param mtime when it was changed
   * @param target where a symbolic link leads
   */
  public record FileState(
      String type, long size, String mode, Instant mtime, Optional<String> target) {
    static FileState of(Fields fields) {
      return new FileState(
          fields.text("type"),
          fields.number("size"),
          fields.text("mode"),
          fields.instant("mtime"),
          fields.optionalText("target"));
    }
  }

  /**
   * Python's globals by name.
   *
   * @param added only the second sandbox has them
   * @param removed only the first sandbox has them
   * @param modified both have them
   */
  public record Variables(
      Map<String, Variable> added, Map<String, Variable> removed, Map<String, Modified> modified) {
    static Variables of(Fields fields) {
      return new Variables(
          mapped(fields.objectByName("added"), Variable::of),
          mapped(fields.objectByName("removed"), Variable::of),
          mapped(fields.objectByName("modified"), Modified::of));
    }
  }

  /**
   * A variable in one of the two sandboxes.
   *
   * @param type its class
   * @param repr its value, cut short; the guest's words, so escape them before you show them
   */
  public record Variable(String type, String repr) {
    static Variable of(Fields fields) {
      return new Variable(fields.text("type"), fields.text("repr"));
    }
  }

  /**
   * A variable in both sandboxes.
   *
   * @param from in the first one
   * @param to in the second one
   */
  public record Modified(Variable from, Variable to) {
    static Modified of(Fields fields) {
      Fields none = new Fields(Map.of());
      return new Modified(
          Variable.of(fields.object("from").orElse(none)),
          Variable.of(fields.object("to").orElse(none)));
    }
  }

  static Difference of(Fields fields) {
    return new Difference(
        fields.texts("added"),
        fields.texts("removed"),
        fields.texts("modified"),
        mapped(fields.objectByName("details"), Change::of),
        fields.object("variables").map(Variables::of),
        fields.truth("truncated", false));
  }

  private static <T> Map<String, T> mapped(Map<String, Fields> objects, Function<Fields, T> of) {
    Map<String, T> mapped = new LinkedHashMap<>();
    objects.forEach((name, object) -> mapped.put(name, of.apply(object)));
    return Collections.unmodifiableMap(mapped);
  }
}
