package dev.podflare.server;

import dev.podflare.engine.Egress;
import dev.podflare.sandbox.SandboxId;
import dev.podflare.sandbox.SandboxInfo;
import java.time.Duration;
import tools.jackson.core.JsonGenerator;

/** Writes what is known of a sandbox. */
final class SandboxJson {

  private SandboxJson() {}

  static void write(JsonGenerator json, SandboxInfo info) {
    json.writeStartObject();
    json.writeStringProperty("id", info.id().value());
    json.writeStringProperty("state", Json.word(info.state()));
    Json.text(json, "template", info.template());
    json.writeStringProperty("isolation", info.isolation().word());
    json.writeNumberProperty("created_at", info.createdAt().toEpochMilli());
    json.writeNumberProperty("last_used_at", info.lastUsedAt().toEpochMilli());
    seconds(json, "idle_timeout_seconds", info.idleTimeout());
    if (info.maxLifetime().isPresent()) {
      seconds(json, "max_lifetime_seconds", info.maxLifetime().get());
    } else {
      json.writeNullProperty("max_lifetime_seconds");
    }
    json.writeNumberProperty("cpus", info.shape().cpus());
    json.writeNumberProperty("memory_mb", info.shape().memoryMiB());
    json.writeNumberProperty("disk_mb", info.shape().diskMiB());
    json.writeNumberProperty("memory_used_bytes", info.memoryUsedBytes());
    json.writeNumberProperty("cpu_time_ms", info.cpuTime().toMillis());
    json.writeBooleanProperty("egress", reachesOutside(info.egress()));
    json.writeBooleanProperty("persistent", info.persistent());
    Json.textOrNull(json, "parent", info.parent().map(SandboxId::value));
    json.writeStringProperty("family", info.family().value());
    json.writeNumberProperty("generation", info.generation());
    Json.texts(json, "metadata", info.metadata());
    json.writeEndObject();
  }

  private static boolean reachesOutside(Egress egress) {
    return switch (egress) {
      case Egress.Outside _ -> true;
      case Egress.Nothing _ -> false;
    };
  }

  /** Whole seconds as a whole number, which is what most clients expect. */
  private static void seconds(JsonGenerator json, String name, Duration duration) {
    if (duration.toMillisPart() == 0) {
      json.writeNumberProperty(name, duration.toSeconds());
    } else {
      json.writeNumberProperty(name, duration.toMillis() / 1000.0);
    }
  }
}
