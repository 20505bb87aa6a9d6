package dev.podflare.server;

import dev.podflare.sandbox.SandboxId;
import dev.podflare.sandbox.SpaceInfo;
import tools.jackson.core.JsonGenerator;

/** Writes what is known of a Space. */
final class SpaceJson {

  private SpaceJson() {}

  static void write(JsonGenerator json, SpaceInfo space) {
    json.writeStartObject();
    writeFields(json, space);
    json.writeEndObject();
  }

  static void writeFields(JsonGenerator json, SpaceInfo space) {
    json.writeStringProperty("id", space.id().value());
    json.writeStringProperty("sandbox", space.sandbox().value());
    Json.textOrNull(json, "held_by", space.heldBy().map(SandboxId::value));
    json.writeStringProperty("family", space.family().value());
    json.writeNumberProperty("generation", space.generation());
    Json.text(json, "template", space.template());
    json.writeNumberProperty("cpus", space.shape().cpus());
    json.writeNumberProperty("memory_mb", space.shape().memoryMiB());
    json.writeNumberProperty("disk_mb", space.shape().diskMiB());
    json.writeNumberProperty("disk_bytes", space.diskBytes());
    json.writeNumberProperty("created_at", space.createdAt().toEpochMilli());
    Json.texts(json, "metadata", space.metadata());
  }
}
