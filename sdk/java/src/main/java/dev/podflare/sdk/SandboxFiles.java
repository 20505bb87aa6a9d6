package dev.podflare.sdk;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.UUID;
import org.jspecify.annotations.Nullable;

/**
 * Lists, reads, writes and removes the files of a sandbox. Paths are absolute, or relative to
 * {@code /root}. A file has its old content or the whole new one, never a part.
 *
 * <p>Every call throws {@link NotFoundException} when there is no such file or sandbox, and {@link
 * InvalidRequestException} when the path is none for this call.
 *
 * {@snippet :
 * import dev.podflare.sdk.*;
 *
 * try (Sandbox sb = Podflare.create()) {
 *   sb.files().write("data.csv", "a,b\n1,2\n");
 *   for (FileEntry entry : sb.files().list("/root").entries()) {
 *     System.out.println(entry.name() + " " + entry.size());
 *   }
 *   sb.files().remove("data.csv");
 * }
 * }
 */
public final class SandboxFiles {
  private static final String BYTES = "application/octet-stream";

  /** What a Java array can hold; {@link #read(String, Path)} has no limit. */
  private static final int LONGEST_IN_MEMORY = Integer.MAX_VALUE - 16;

  private final Sandbox sandbox;

  SandboxFiles(Sandbox sandbox) {
    this.sandbox = sandbox;
  }

  /** What a directory holds, sorted by name; at most 10,000 entries. */
  public Listing list(String path) {
    return Listing.of(sandbox.json(Call.get(target("/files/list", path, ""))));
  }

  /** A whole file, of up to two gigabytes. */
  public byte[] read(String path) {
    try (Answer answer = open(path)) {
      return answer.readAll(LONGEST_IN_MEMORY);
    }
  }

  /** A whole file as text in UTF-8. */
  public String readText(String path) {
    return new String(read(path), StandardCharsets.UTF_8);
  }

  /** Copies a file to a stream, piece by piece; answers how many bytes it has. */
  public long read(String path, OutputStream target) {
    try (Answer answer = open(path)) {
      return answer.stream().transferTo(target);
    } catch (IOException unwritten) {
      throw new UncheckedIOException("what was downloaded can't be written", unwritten);
    }
  }

  /**
   * Copies a file to a local one, piece by piece. That is the old one or the whole new one, never a
   * part.
   */
  public long read(String path, Path local) {
    Path part = local.resolveSibling(local.getFileName() + "." + UUID.randomUUID() + ".part");
    try (Answer answer = open(path)) {
      if (Files.exists(local) && !Files.isRegularFile(local)) {
        // A device or a pipe is written to: replacing /dev/null would break the whole machine.
        return copied(answer, local);
      }
      try {
        long count = copied(answer, part);
        Files.move(part, local, StandardCopyOption.REPLACE_EXISTING);
        return count;
      } finally {
        Files.deleteIfExists(part);
      }
    } catch (IOException unwritten) {
      throw new UncheckedIOException("what was downloaded can't be written", unwritten);
    }
  }

  /**
   * The first bytes of a file, at most so many. To show the beginning of a file that may be of any
   * size.
   */
  public byte[] read(String path, int limit) {
    try (Answer answer = open(path)) {
      return answer.readAtMost(limit);
    }
  }

  /** Creates or replaces a file, with the directories above it; answers how many bytes it has. */
  public long write(String path, byte[] bytes) {
    return write(path, new Body.Bytes(bytes, BYTES), null);
  }

  /** The same with text in UTF-8. */
  public long write(String path, String text) {
    return write(path, text.getBytes(StandardCharsets.UTF_8));
  }

  /** The same with a local file, piece by piece. */
  public long write(String path, Path local) {
    return write(path, new Body.Local(local, BYTES), null);
  }

  long write(String path, Path local, @Nullable String mode) {
    return write(path, new Body.Local(local, BYTES), mode);
  }

  /** The same with all that a stream has, piece by piece; it is not closed. */
  public long write(String path, InputStream bytes) {
    return write(path, new Body.Streamed(bytes, BYTES), null);
  }

  /**
   * The same with permissions.
   *
   * @param mode in octal, such as {@code 0755}
   */
  public long write(String path, byte[] bytes, String mode) {
    return write(path, new Body.Bytes(bytes, BYTES), mode);
  }

  /** Removes a file, or an empty directory. */
  public void remove(String path) {
    remove(path, false);
  }

  /** Removes a file, or a directory with all that is in it. */
  public void remove(String path, boolean recursive) {
    String more = recursive ? "&recursive=true" : "";
    // Not sent again: the second answer would be 404 for what the first one removed.
    sandbox.json(Call.delete(target("/files", path, more)).once());
  }

  private long write(String path, Body body, @Nullable String mode) {
    String more = mode == null ? "" : "&mode=" + Url.query(mode);
    return sandbox.json(Call.put(target("/files", path, more), body)).number("size");
  }

  private static long copied(Answer answer, Path local) throws IOException {
    try (OutputStream target = Files.newOutputStream(local)) {
      return answer.stream().transferTo(target);
    }
  }

  private Answer open(String path) {
    return sandbox.open(Call.get(target("/files", path, "")));
  }

  private String target(String call, String path, String more) {
    if (path.isEmpty()) {
      throw Failures.invalid(
          "invalid_path",
          "a path in the sandbox is empty",
          "name it from the root, or from /root on");
    }
    return sandbox.path(call + "?path=" + Url.query(path) + more);
  }
}
