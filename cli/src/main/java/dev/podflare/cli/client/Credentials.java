package dev.podflare.cli.client;

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
public record Credentials(String host, String api_key) {

  private static final JsonMapper JSON = JsonMapper.shared();

  /** The user's file: {@code $XDG_CONFIG_HOME/podflare/config.json}, or under {@code ~/.config}. */
  public static Path userFile() {
    String configured = Environment.value("XDG_CONFIG_HOME", "");
    Path home =
        configured.isEmpty()
            ? Path.of(System.getProperty("user.home"), ".config")
            : Path.of(configured);
    return home.resolve("podflare").resolve("config.json");
  }

  /** The server's own copy, in which its key outlives it. */
  public static Path serverFile(Path dataDirectory) {
    return dataDirectory.resolve("credentials.json");
  }

  public static Optional<Credentials> read(Path file) throws CommandFailure {
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
  public void writeTo(Path file) throws IOException {
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
