package dev.podflare.cli.sandbox;

import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.FileProblem;
import dev.podflare.cli.client.ServerApi;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;

/** Copies from this machine into a sandbox. */
final class Upload {

  private static final int CHUNK = 64 << 10;

  private final ServerApi api;
  private final String sandbox;
  private final CopyProgress progress;
  private int files;
  private long bytes;

  Upload(ServerApi api, String sandbox, CopyProgress progress) {
    this.api = api;
    this.sandbox = sandbox;
    this.progress = progress;
  }

  Copied copy(Path source, String target) throws CommandFailure {
    if (!Files.exists(source)) {
      throw new CommandFailure(source + ": no such file");
    }
    Path name = source.toAbsolutePath().normalize().getFileName();
    if (name == null) {
      throw new CommandFailure("all of this machine is too much; name a folder in it");
    }
    if (!Files.isDirectory(source) && !Files.isRegularFile(source)) {
      throw new CommandFailure(
          source + " is no file that can be copied; write what comes out of it into a file first");
    }
    boolean isIntoFolder =
        target.endsWith("/") || SandboxPath.listing(api, sandbox, target).isPresent();
    String path = isIntoFolder ? SandboxPath.child(target, name.toString()) : target;
    if (Files.isDirectory(source)) {
      folder(source, path);
    } else {
      file(source, path);
    }
    return new Copied(files, bytes, path);
  }

  private void folder(Path source, String target) throws CommandFailure {
    List<Path> within;
    try (Stream<Path> walk = Files.walk(source, FileVisitOption.FOLLOW_LINKS)) {
      within = walk.filter(Files::isRegularFile).sorted().toList();
    } catch (IOException e) {
      throw new CommandFailure("the folder can't be read: " + FileProblem.of(source, e), e);
    } catch (UncheckedIOException e) {
      throw new CommandFailure(
          "the folder can't be read: "
              + FileProblem.of(source, Objects.requireNonNull(e.getCause())),
          e);
    }
    if (within.isEmpty()) {
      throw new CommandFailure("there is no file in " + source + ", so there is nothing to copy");
    }
    for (Path file : within) {
      StringBuilder path = new StringBuilder(target);
      source.relativize(file).forEach(part -> path.append('/').append(part));
      file(file, path.toString());
    }
  }

  private void file(Path source, String target) throws CommandFailure {
    // Opened before the call, so that what can't be read is not taken for a server that can't be
    // reached.
    try (InputStream in = Files.newInputStream(source)) {
      long size = Files.size(source);
      var _ =
          api.put(
              SandboxPath.file(sandbox, target, "&mode=" + mode(source)),
              size,
              out -> send(in, source, size, out));
      progress.file(source.toString());
      files++;
      bytes += size;
    } catch (IOException e) {
      throw new CommandFailure("the file can't be read: " + FileProblem.of(source, e), e);
    }
  }

  private void send(InputStream in, Path source, long size, OutputStream out) throws IOException {
    byte[] chunk = new byte[CHUNK];
    long left = size;
    while (left > 0) {
      int read = in.read(chunk, 0, (int) Math.min(chunk.length, left));
      if (read < 0) {
        throw new IOException(source + " became shorter while it was copied");
      }
      out.write(chunk, 0, read);
      progress.bytes(source.toString(), read);
      left -= read;
    }
  }

  private static String mode(Path file) throws IOException {
    return Permissions.octal(Files.getPosixFilePermissions(file));
  }
}
