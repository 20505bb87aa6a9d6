package dev.podflare.sandbox;

import dev.podflare.engine.MachineShape;
import dev.podflare.guest.ResyncToken;
import java.time.Instant;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * What the directory of a built template says of itself.
 *
 * @param resync what makes the agent of its clones begin anew
 */
record TemplateManifest(TemplateRecord template, ResyncToken resync) {

  private static final int FORMAT = 1;
  private static final JsonMapper JSON = JsonMapper.shared();

  String json() {
    ObjectNode said = JSON.createObjectNode();
    said.put("format", FORMAT);
    said.put("id", template.id().value());
    said.put("owner", template.owner());
    said.put("name", template.name());
    said.put("version", template.version());
    said.put("base", template.base());
    said.put("base_mark", template.baseMark());
    said.put("engine", template.engine());
    said.put("cpus", template.shape().cpus());
    said.put("memory_mib", template.shape().memoryMiB());
    said.put("disk_mib", template.shape().diskMiB());
    said.put("created_at", template.createdAt().toEpochMilli());
    said.put("resync", resync.hex());
    return JSON.writerWithDefaultPrettyPrinter().writeValueAsString(said);
  }

  /**
   * @throws IllegalArgumentException if it is no manifest, or one of another format
   */
  static TemplateManifest parse(String json) {
    try {
      JsonNode said = JSON.readTree(json);
      if (said.path("format").asInt(0) != FORMAT) {
        throw new IllegalArgumentException("its format is not " + FORMAT);
      }
      return new TemplateManifest(
          new TemplateRecord(
              new TemplateId(said.required("id").asString()),
              said.required("owner").asString(),
              said.required("name").asString(),
              said.required("version").asInt(),
              said.required("base").asString(),
              said.required("base_mark").asString(),
              said.required("engine").asString(),
              new MachineShape(
                  said.required("cpus").asInt(),
                  said.required("memory_mib").asInt(),
                  said.required("disk_mib").asInt()),
              Instant.ofEpochMilli(said.required("created_at").asLong())),
          ResyncToken.parse(said.required("resync").asString()));
    } catch (JacksonException e) {
      throw new IllegalArgumentException("it is no manifest", e);
    }
  }
}
