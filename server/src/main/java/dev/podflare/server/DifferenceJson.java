package dev.podflare.server;

import dev.podflare.sandbox.Difference;
import dev.podflare.sandbox.Difference.Kind;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import tools.jackson.core.JsonGenerator;

/**
 * Writes what differs between two sandboxes. Paths, names and representations are guests' words.
 */
final class DifferenceJson {

  private DifferenceJson() {}

  static void write(JsonGenerator json, Difference difference) {
    json.writeStartObject();
    for (Kind kind : Kind.values()) {
      Json.texts(json, Json.word(kind), pathsOf(difference, kind));
    }
    json.writeObjectPropertyStart("details");
    difference
        .files()
        .forEach((path, change) -> {
          json.writeName(Json.wellFormed(path));
          write(json, change);
        });
    json.writeEndObject();
    if (difference.variables().isPresent()) {
      json.writeName("variables");
      write(json, difference.variables().get());
    } else {
      json.writeNullProperty("variables");
    }
    json.writeBooleanProperty("truncated", difference.truncated());
    json.writeEndObject();
  }

  private static List<String> pathsOf(Difference difference, Kind kind) {
    return difference.files().entrySet().stream()
        .filter(file -> file.getValue().kind() == kind)
        .map(Map.Entry::getKey)
        .toList();
  }

  private static void write(JsonGenerator json, Difference.FileChange change) {
    json.writeStartObject();
    Json.texts(json, "changed", change.aspects().stream().sorted().map(Json::word).toList());
    write(json, "from", change.from());
    write(json, "to", change.to());
    Json.textOrNull(json, "text", change.text());
    json.writeEndObject();
  }

  private static void write(JsonGenerator json, String name, Optional<Difference.FileState> state) {
    if (state.isEmpty()) {
      json.writeNullProperty(name);
      return;
    }
    Difference.FileState file = state.get();
    json.writeObjectPropertyStart(name);
    Json.text(json, "type", file.type());
    json.writeNumberProperty("size", file.size());
    json.writeStringProperty("mode", Json.octal(file.mode()));
    json.writeNumberProperty("mtime", file.modified().toEpochMilli());
    Json.textOrNull(json, "target", file.target());
    json.writeEndObject();
  }

  private static void write(
      JsonGenerator json, SortedMap<String, Difference.VariableChange> variables) {
    json.writeStartObject();
    for (Kind kind : Kind.values()) {
      json.writeObjectPropertyStart(Json.word(kind));
      variables.forEach((name, change) -> {
        if (change.kind() == kind) {
          json.writeName(Json.wellFormed(name));
          write(json, change);
        }
      });
      json.writeEndObject();
    }
    json.writeEndObject();
  }

  /** What was added or removed is only in one of the two; what was modified is in both. */
  private static void write(JsonGenerator json, Difference.VariableChange change) {
    json.writeStartObject();
    switch (change.kind()) {
      case ADDED -> change.to().ifPresent(variable -> writeFields(json, variable));
      case REMOVED -> change.from().ifPresent(variable -> writeFields(json, variable));
      case MODIFIED -> {
        change.from().ifPresent(variable -> write(json, "from", variable));
        change.to().ifPresent(variable -> write(json, "to", variable));
      }
    }
    json.writeEndObject();
  }

  private static void write(JsonGenerator json, String name, Difference.Variable variable) {
    json.writeObjectPropertyStart(name);
    writeFields(json, variable);
    json.writeEndObject();
  }

  private static void writeFields(JsonGenerator json, Difference.Variable variable) {
    Json.text(json, "type", variable.type());
    Json.text(json, "repr", variable.repr());
  }
}
