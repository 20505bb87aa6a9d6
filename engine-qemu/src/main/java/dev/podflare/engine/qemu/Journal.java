package dev.podflare.engine.qemu;

import dev.podflare.engine.MachineShape;
import dev.podflare.host.ProcessIdentity;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * What a microVM holds of the host, written before it is taken, so that a later server can give it
 * back, or take the running microVM over.
 *
 * @param lease the number from which network and names follow
 * @param user of the monitor; null while no monitor has been started
 * @param shape of the machine; null while it is not known
 * @param process the machine monitor; null until it has started
 * @param complete whether the machine is what it shall be, so that a later server can take it over
 */
record Journal(
    int lease,
    @Nullable Integer user,
    @Nullable MachineShape shape,
    @Nullable ProcessIdentity process,
    boolean complete) {

  /** Strict: a number that is missing must not be read as 0, which another microVM may hold. */
  private static final JsonMapper JSON =
      JsonMapper.builder()
          .enable(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES)
          .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
          .build();

  /** Replaces the journal as a whole: a reader sees the old one or the new one. */
  void writeTo(Path file) throws IOException {
    Path aside = file.resolveSibling(file.getFileName() + ".new");
    Files.write(aside, JSON.writeValueAsBytes(this));
    Files.move(aside, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  /**
   * Of a server from before monitors could be forked: names no user. Its machine can't be taken
   * over, but what it holds is given back as of any other.
   */
  private static JsonNode earlier(JsonNode journal) {
    if (journal instanceof ObjectNode object && object.has("complete") && !object.has("user")) {
      object.putNull("user").put("complete", false);
    }
    return journal;
  }

  /** Empty if there is none: then its microVM had not taken anything yet. */
  static Optional<Journal> read(Path file) throws IOException {
    if (!Files.exists(file)) {
      return Optional.empty();
    }
    try {
      Journal journal =
          JSON.treeToValue(earlier(JSON.readTree(Files.readAllBytes(file))), Journal.class);
      if (journal == null) {
        throw new IOException(file + " is not a journal");
      }
      return Optional.of(journal);
    } catch (JacksonException e) {
      throw new IOException(file + " is not a journal", e);
    }
  }
}
