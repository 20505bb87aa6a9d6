package dev.podflare.server;

import dev.podflare.sandbox.FileContent;
import dev.podflare.sandbox.FileListing;
import dev.podflare.sandbox.SandboxId;
import dev.podflare.sandbox.Sandboxes;
import io.helidon.webserver.CloseConnectionException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/** Files of a sandbox, streamed both ways in constant memory. */
final class FileRoutes {

  private static final String BYTES = "application/octet-stream";
  private static final int BUFFER_BYTES = 64 * 1024;
  private static final int MAX_PATH = 4096;
  private static final int MOST_MODE = 0777;

  private final Sandboxes sandboxes;
  private final Ownership ownership;

  FileRoutes(Sandboxes sandboxes, Ownership ownership) {
    this.sandboxes = sandboxes;
    this.ownership = ownership;
  }

  List<Route> routes() {
    return List.of(
        Route.keyed("PUT", "/v1/sandboxes/{id}/files", this::write),
        Route.keyed("GET", "/v1/sandboxes/{id}/files", this::read),
        Route.keyed("DELETE", "/v1/sandboxes/{id}/files", this::remove),
        Route.keyed("GET", "/v1/sandboxes/{id}/files/list", this::list));
  }

  private void write(Call call) throws Exception {
    SandboxId id = ownership.require(call);
    String path = path(call);
    Optional<Integer> mode = call.query().text("mode").map(FileRoutes::mode);
    RequestBytes content = call.bytes();
    long size;
    try {
      size = sandboxes.writeFile(id, path, mode, content);
    } catch (IOException | RuntimeException e) {
      throw content.refusal().<Exception>map(refusal -> refusal).orElse(e);
    }
    if (content.refusal().isPresent()) {
      throw new IllegalStateException("half an upload was stored as a whole file");
    }
    call.json(json -> {
      json.writeStartObject();
      Json.text(json, "path", path);
      json.writeNumberProperty("size", size);
      json.writeEndObject();
    });
  }

  private void read(Call call) throws IOException {
    SandboxId id = ownership.require(call);
    FileContent content = sandboxes.readFile(id, path(call));
    try (InputStream bytes = content.bytes()) {
      OutputStream out = call.stream(BYTES, content.size());
      copy(bytes, out, content.size());
      // Not in a finally: an answer that broke off must not end as if it were whole.
      out.close();
    }
  }

  private void list(Call call) {
    SandboxId id = ownership.require(call);
    FileListing listing = sandboxes.listFiles(id, path(call));
    call.json(json -> {
      json.writeStartObject();
      json.writeArrayPropertyStart("entries");
      for (FileListing.Entry entry : listing.entries()) {
        json.writeStartObject();
        Json.text(json, "name", entry.name());
        Json.text(json, "type", entry.type());
        json.writeNumberProperty("size", entry.size());
        json.writeStringProperty("mode", Json.octal(entry.mode()));
        json.writeNumberProperty("mtime", entry.modified().toEpochMilli());
        json.writeEndObject();
      }
      json.writeEndArray();
      json.writeBooleanProperty("truncated", listing.truncated());
      json.writeEndObject();
    });
  }

  private void remove(Call call) {
    SandboxId id = ownership.require(call);
    sandboxes.removeFile(id, path(call), call.query().flag("recursive").orElse(false));
    call.noContent();
  }

  /** Sends exactly as many bytes as were announced, if any were, or cuts the connection. */
  private static void copy(InputStream from, OutputStream to, OptionalLong announced)
      throws IOException {
    byte[] buffer = new byte[BUFFER_BYTES];
    long left = announced.orElse(Long.MAX_VALUE);
    while (left > 0) {
      int read = readSome(from, buffer, (int) Math.min(buffer.length, left));
      if (read < 0) {
        if (announced.isPresent()) {
          throw new CloseConnectionException("a file became shorter while it was read");
        }
        return;
      }
      to.write(buffer, 0, read);
      left -= read;
    }
  }

  private static int readSome(InputStream from, byte[] buffer, int atMost) {
    try {
      return from.read(buffer, 0, atMost);
    } catch (IOException e) {
      throw new CloseConnectionException("the guest broke off in the middle of a file", e);
    }
  }

  private static String path(Call call) {
    String path = call.query().requiredText("path");
    if (path.isEmpty() || path.length() > MAX_PATH || path.indexOf('\0') >= 0) {
      throw ApiError.badField(
          "path",
          "The query parameter path is no path that can be used.",
          "Send a path of 1 to " + MAX_PATH + " characters without NUL.");
    }
    return path;
  }

  private static int mode(String octal) {
    int mode;
    try {
      mode = Integer.parseInt(octal, 8);
    } catch (NumberFormatException e) {
      mode = -1;
    }
    if (mode < 0 || mode > MOST_MODE) {
      throw ApiError.badValue(
          "mode",
          "The query parameter mode is no set of permission bits.",
          "Send them in octal, from 0 to 0777.");
    }
    return mode;
  }
}
