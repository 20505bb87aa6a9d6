package dev.podflare.server;

import dev.podflare.engine.MachineShape;
import dev.podflare.sandbox.TemplateInfo;
import java.time.Instant;
import java.util.Optional;
import tools.jackson.core.JsonGenerator;

/** Writes what is known of a template. */
final class TemplateJson {

  private TemplateJson() {}

  static void write(JsonGenerator json, TemplateInfo template) {
    json.writeStartObject();
    Json.text(json, "name", template.name());
    Json.textOrNull(json, "base", template.base());
    json.writeNumberProperty("version", template.version());
    json.writeStringProperty("state", Json.word(template.state()));
    json.writeBooleanProperty("builtin", template.builtIn());
    json.writeBooleanProperty("stale", template.stale());
    numberOrNull(json, "cpus", template.shape().map(MachineShape::cpus));
    numberOrNull(json, "memory_mb", template.shape().map(MachineShape::memoryMiB));
    numberOrNull(json, "disk_mb", template.shape().map(MachineShape::diskMiB));
    numberOrNull(json, "created_at", template.createdAt().map(Instant::toEpochMilli));
    Json.textOrNull(json, "error", template.error());
    Json.textOrNull(json, "python", template.python());
    Json.texts(json, "python_packages", template.pythonPackages());
    json.writeEndObject();
  }

  private static void numberOrNull(
      JsonGenerator json, String name, Optional<? extends Number> value) {
    if (value.isPresent()) {
      json.writeNumberProperty(name, value.get().longValue());
    } else {
      json.writeNullProperty(name);
    }
  }
}
