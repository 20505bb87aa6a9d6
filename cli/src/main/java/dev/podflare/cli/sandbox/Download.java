package dev.podflare.cli.sandbox;

import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.FileProblem;
import dev.podflare.cli.client.ServerApi;
import dev.podflare.cli.text.Printable;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermission;
import java.util.Optional;
import java.util.Set;
import tools.jackson.databind.JsonNode;

/**
 * Copies from a sandbox to this machine. What the guest calls its files is its word alone: a name
 * never leads out of the folder that is written, and never through a link in it.
 */
final class Download {

  private static final int CHUNK = 64 << 10;
  private static final int MAX_DEPTH = 64;
  private static final int MAX_FILES = 1_000_000;

  private static final Set<PosixFilePermission> USUAL = Permissions.of(0644);

  private final ServerApi api;
  private final String sandbox;
  private final CopyProgress progress;
  private int files;
  private int folders;
  private long bytes;

  Download(ServerApi api, String sandbox, CopyProgress progress) {
    this.api = api;
    this.sandbox = sandbox;
    this.progress = progress;
  }

  Copied copy(String source, Path target) throws CommandFailure {
    String name = SandboxPath.name(source);
    boolean isIntoFolder = target.toString().endsWith("/") || Files.isDirectory(target);
    Path to = isIntoFolder && !name.isEmpty() ? target.resolve(local(name)) : target;
    Optional<JsonNode> listing = SandboxPath.listing(api, sandbox, source);
    if (listing.isPresent()) {
      folder(source, listing.get(), to, 0);
    } else {
      file(source, to, Optional.empty());
    }
    return new Copied(files, bytes, to.toString());
  }

  private void folder(String source, JsonNode listing, Path target, int depth)
      throws CommandFailure {
    if (listing.path("truncated").asBoolean() || depth > MAX_DEPTH || files + folders > MAX_FILES) {
      throw new CommandFailure(
          Printable.line(source) + " holds too much; pack it in the sandbox first, with tar");
    }
    folders++;
    try {
      // The folder that was named may be a link; those below it may not, or they would lead out.
      if (depth == 0) {
        Files.createDirectories(target);
      } else if (!Files.isDirectory(target, LinkOption.NOFOLLOW_LINKS)) {
        Files.createDirectory(target);
      }
    } catch (IOException e) {
      throw new CommandFailure("the folder can't be made: " + FileProblem.of(target, e), e);
    }
    for (JsonNode entry : listing.path("entries")) {
      String name = entry.path("name").asString("");
      String path = SandboxPath.child(source, name);
      Path to = target.resolve(local(name));
      switch (entry.path("type").asString("")) {
        case "file" -> file(path, to, mode(entry));
        case "directory" -> {
          Optional<JsonNode> below = SandboxPath.listing(api, sandbox, path);
          if (below.isPresent()) {
            folder(path, below.get(), to, depth + 1);
          }
        }
        default -> {} // Links and devices mean nothing here.
      }
    }
  }

  /** One name, which is no way to anywhere else. */
  private static String local(String name) throws CommandFailure {
    try {
      if (!name.isEmpty()
          && !name.equals(".")
          && !name.equals("..")
          && name.indexOf('/') < 0
          && Path.of(name).getNameCount() == 1) {
        return name;
      }
    } catch (InvalidPathException e) {
      throw new CommandFailure(
          "the sandbox has a file whose name can't be written here: " + Printable.line(name), e);
    }
    throw new CommandFailure(
        "the sandbox has a file whose name can't be written here: " + Printable.line(name));
  }

  private void file(String source, Path target, Optional<Set<PosixFilePermission>> mode)
      throws CommandFailure {
    Path parent = target.toAbsolutePath().getParent();
    if (parent == null || Files.isDirectory(target)) {
      throw new CommandFailure(target + " is a folder");
    }
    InputStream content = api.stream(SandboxPath.file(sandbox, source, ""));
    try (content) {
      Files.createDirectories(parent);
      // Aside first: what breaks off leaves no half file, and a link in the way is replaced.
      Path aside = Files.createTempFile(parent, ".podflare-cp", "");
      boolean whole = false;
      try {
        try (OutputStream out = Files.newOutputStream(aside)) {
          receive(content, out, source);
        }
        Files.setPosixFilePermissions(aside, mode.orElse(USUAL));
        Files.move(aside, target, StandardCopyOption.REPLACE_EXISTING);
        whole = true;
      } finally {
        if (!whole) {
          Files.deleteIfExists(aside);
        }
      }
    } catch (IOException e) {
      throw new CommandFailure(
          "%s can't be copied: %s".formatted(Printable.line(source), FileProblem.of(target, e)), e);
    }
    files++;
    progress.file(source);
  }

  private void receive(InputStream content, OutputStream out, String source) throws IOException {
    byte[] chunk = new byte[CHUNK];
    for (int read = content.read(chunk); read >= 0; read = content.read(chunk)) {
      out.write(chunk, 0, read);
      bytes += read;
      progress.bytes(source, read);
    }
  }

  private static Optional<Set<PosixFilePermission>> mode(JsonNode entry) {
    String text = entry.path("mode").asString("");
    if (!text.matches("[0-7]{1,5}")) {
      return Optional.empty();
    }
    // Readable for who copied it, whatever it was there.
    return Optional.of(Permissions.of(Integer.parseInt(text, 8) | 0600));
  }
}
