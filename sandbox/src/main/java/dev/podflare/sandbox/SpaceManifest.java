package dev.podflare.sandbox;

import dev.podflare.engine.MachineShape;
import dev.podflare.guest.ResyncToken;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;
import tools.jackson.core.JacksonException;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * What a Space says of itself: all that is needed to wake a sandbox from it, on any host that its
 * engine fits.
 *
 * @param engine the fingerprint of the engine that froze it
 * @param sandbox the sandbox that it was
 * @param held whether that sandbox is still open, and sleeps in it
 * @param generation of the machine
 * @param line of the machine
 */
record SpaceManifest(
    SpaceId id,
    String engine,
    SandboxRecord sandbox,
    boolean held,
    ResyncToken resync,
    int generation,
    Line line,
    Instant frozenAt) {

  private static final int FORMAT = 1;
  private static final JsonMapper JSON = JsonMapper.shared();
  private static final TypeReference<Map<String, String>> MARKS = new TypeReference<>() {};

  String json() {
    ObjectNode space = JSON.createObjectNode();
    space.put("format", FORMAT);
    space.put("id", id.value());
    space.put("engine", engine);
    space.put("held", held);
    space.put("resync", resync.hex());
    space.put("generation", generation);
    space.put("line", line.text());
    space.put("frozen_at", frozenAt.toEpochMilli());
    ObjectNode was = space.putObject("sandbox");
    was.put("id", sandbox.id().value());
    was.put("owner", sandbox.owner());
    was.put("template", sandbox.template());
    was.put("cpus", sandbox.shape().cpus());
    was.put("memory_mib", sandbox.shape().memoryMiB());
    was.put("disk_mib", sandbox.shape().diskMiB());
    was.put("egress", Registry.egressWord(sandbox.egress()));
    was.put("idle_timeout", sandbox.idleTimeout().toMillis());
    sandbox.maxLifetime().ifPresent(longest -> was.put("max_lifetime", longest.toMillis()));
    was.put("persistent", sandbox.persistent());
    was.put("family", sandbox.family().value());
    sandbox.parent().ifPresent(parent -> was.put("parent", parent.value()));
    was.put("created_at", sandbox.createdAt().toEpochMilli());
    was.set("metadata", JSON.valueToTree(sandbox.metadata()));
    return JSON.writerWithDefaultPrettyPrinter().writeValueAsString(space);
  }

  /**
   * @throws IllegalArgumentException if it is no manifest, or one of another format
   */
  static SpaceManifest parse(String json) {
    try {
      JsonNode space = JSON.readTree(json);
      if (space.path("format").asInt(0) != FORMAT) {
        throw new IllegalArgumentException("its format is not " + FORMAT);
      }
      JsonNode was = space.required("sandbox");
      return new SpaceManifest(
          new SpaceId(space.required("id").asString()),
          space.required("engine").asString(),
          new SandboxRecord(
              new SandboxId(was.required("id").asString()),
              was.required("owner").asString(),
              was.required("template").asString(),
              new MachineShape(
                  was.required("cpus").asInt(),
                  was.required("memory_mib").asInt(),
                  was.required("disk_mib").asInt()),
              Registry.egress(was.required("egress").asString()),
              Duration.ofMillis(was.required("idle_timeout").asLong()),
              Optional.ofNullable(was.get("max_lifetime"))
                  .map(millis -> Duration.ofMillis(millis.asLong())),
              was.required("persistent").asBoolean(),
              new SandboxId(was.required("family").asString()),
              Optional.ofNullable(was.get("parent")).map(id -> new SandboxId(id.asString())),
              JSON.convertValue(was.required("metadata"), MARKS),
              Instant.ofEpochMilli(was.required("created_at").asLong())),
          space.required("held").asBoolean(),
          ResyncToken.parse(space.required("resync").asString()),
          space.required("generation").asInt(),
          Line.parse(space.required("line").asString()),
          Instant.ofEpochMilli(space.required("frozen_at").asLong()));
    } catch (JacksonException e) {
      throw new IllegalArgumentException("it is no manifest", e);
    }
  }

  /** What is known of the Space. */
  SpaceInfo info(long diskBytes) {
    return new SpaceInfo(
        id,
        sandbox.owner(),
        sandbox.id(),
        held ? Optional.of(sandbox.id()) : Optional.empty(),
        sandbox.family(),
        generation,
        sandbox.template(),
        sandbox.shape(),
        frozenAt,
        diskBytes,
        sandbox.metadata());
  }
}
