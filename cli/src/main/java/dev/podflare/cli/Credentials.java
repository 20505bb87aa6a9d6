package dev.podflare.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.json.JsonMapper;

/**
 * How programs on this machine reach the server without being told: the file that the SDKs read.
 *
 * @param host the server's URL
 * @param api_key named as it stands in the file
 */
@SuppressWarnings("MemberName")
record Credentials(String host, String api_key) {

  private static final JsonMapper JSON = JsonMapper.shared();

  /** The user's file: {@code $XDG_CONFIG_HOME/podflare/config.json}, or under {@code ~/.config}. */
  static Path userFile() {
    String configured = ServerOptions.fromEnvironment("XDG_CONFIG_HOME", "");
    Path home =
        configured.isEmpty()
            ? Path.of(System.getProperty("user.home"), ".config")
            : Path.of(configured);
    return home.resolve("podflare").resolve("config.json");
  }

  /** The server's own copy, for commands that name a data directory. */
  static Path serverFile(Path dataDirectory) {
    return dataDirectory.resolve("credentials.json");
  }

  /**
   * Those of a program that uses a server: what its environment names, or else a server of this
   * machine.
   */
  static Credentials ofClient(Path dataDirectory) throws CommandFailure {
    String host = ServerOptions.fromEnvironment("PODFLARE_HOSTD_URL", "");
    if (host.isEmpty()) {
      host = ServerOptions.fromEnvironment("PODFLARE_HOST", "");
    }
    if (!host.isEmpty()) {
      return new Credentials(host, ServerOptions.fromEnvironment("PODFLARE_API_KEY", ""));
    }
    return ofServer(dataDirectory);
  }

  /** Those of the server of a data directory, or else of the one that the user's file names. */
  static Credentials ofServer(Path dataDirectory) throws CommandFailure {
    Optional<Credentials> found = read(serverFile(dataDirectory));
    if (found.isEmpty()) {
      found = read(userFile());
    }
    return found.orElseThrow(() ->
        new CommandFailure(
            CommandFailure.NO_SERVER,
            "there are no credentials of a server here; start one with: podflare up --detach"));
  }

  static Optional<Credentials> read(Path file) throws CommandFailure {
    if (!Files.isReadable(file)) {
      return Optional.empty();
    }
    try {
      return Optional.of(JSON.readValue(Files.readAllBytes(file), Credentials.class));
    } catch (IOException | JacksonException e) {
      throw new CommandFailure(
          file + " can't be read; remove it, and the next `podflare up` writes a new one", e);
    }
  }

  /**
   * Writes it for its owner's eyes only; whoever reads at the same time sees the old one or this.
   *
   * <p>Under sudo, the file and the directories that had to be made for it are the invoking user's,
   * as is the home directory that they lie in.
   */
  void writeTo(Path file) throws IOException {
    Path directory = file.toAbsolutePath().getParent();
    if (directory == null) {
      throw new IOException(file + " has no directory");
    }
    List<Path> ours = new ArrayList<>(List.of(directory));
    Path home = directory.getParent();
    while (home != null && !Files.exists(home)) {
      ours.add(home);
      home = home.getParent();
    }
    Files.createDirectories(directory);
    var ownerOnly =
        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));
    Path aside = Files.createTempFile(directory, ".config", ".json", ownerOnly);
    Files.write(aside, JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(this));
    ours.add(aside);
    if (home != null && Files.getAttribute(aside, "unix:uid").equals(0)) {
      giveTo(Files.getAttribute(home, "unix:uid"), ours);
    }
    Files.move(aside, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  private static void giveTo(Object user, List<Path> paths) throws IOException {
    if (!user.equals(0)) {
      for (Path path : paths) {
        Files.setAttribute(path, "unix:uid", user);
      }
    }
  }
}
