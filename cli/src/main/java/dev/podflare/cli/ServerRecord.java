package dev.podflare.cli;

import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.ServerAddress;
import dev.podflare.host.ProcessIdentity;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Optional;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * What a running server says of itself in its data directory, for the other commands.
 *
 * @param process the server's process; the record means nothing once that has ended
 * @param address host and port where it listens
 * @param isolation {@code kvm} or {@code emulated}
 * @param isolationReason why it is that
 */
record ServerRecord(
    ProcessIdentity process,
    String address,
    String isolation,
    String isolationReason,
    String engine,
    String version) {

  private static final JsonMapper JSON =
      JsonMapper.builder()
          .enable(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES)
          .enable(DeserializationFeature.FAIL_ON_NULL_CREATOR_PROPERTIES)
          .build();

  private static Path file(Path dataDirectory) {
    return dataDirectory.resolve("server.json");
  }

  void writeTo(Path dataDirectory) throws IOException {
    Path aside = dataDirectory.resolve("server.json.new");
    Files.write(aside, JSON.writeValueAsBytes(this));
    Files.move(
        aside,
        file(dataDirectory),
        StandardCopyOption.ATOMIC_MOVE,
        StandardCopyOption.REPLACE_EXISTING);
  }

  static void removeFrom(Path dataDirectory) throws IOException {
    Files.deleteIfExists(file(dataDirectory));
  }

  /** The server that runs on this data directory; empty if none does. */
  static Optional<ServerRecord> running(Path dataDirectory) throws CommandFailure {
    Path file = file(dataDirectory);
    if (!Files.exists(file)) {
      return Optional.empty();
    }
    try {
      ServerRecord server = JSON.readValue(Files.readAllBytes(file), ServerRecord.class);
      return server.process().isAlive() ? Optional.of(server) : Optional.empty();
    } catch (IOException | JacksonException e) {
      throw new CommandFailure(file + " can't be read: " + e.getMessage(), e);
    }
  }

  /** What is known of a server beyond its answers: something if it runs on this machine. */
  static Optional<ServerRecord> of(ServerAddress server) throws CommandFailure {
    if (!server.isLocal()) {
      return Optional.empty();
    }
    int port = URI.create(server.url()).getPort();
    return running(ServerOptions.configuredDataDirectory())
        .filter(here -> here.address().endsWith(":" + port));
  }

  static ServerRecord require(Path dataDirectory) throws CommandFailure {
    return running(dataDirectory)
        .orElseThrow(() ->
            new CommandFailure(
                CommandFailure.NO_SERVER,
                "no server runs on " + dataDirectory + "; start one with: podflare up --detach"));
  }
}
