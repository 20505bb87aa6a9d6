package dev.podflare.anthropic;

import com.anthropic.client.AnthropicClient;
import com.anthropic.core.JsonValue;
import com.anthropic.core.MultipartField;
import com.anthropic.core.http.HttpResponse;
import com.anthropic.models.beta.files.FileUploadParams;
import com.anthropic.models.messages.Message;
import com.anthropic.models.messages.MessageParam;
import dev.podflare.sdk.Sandbox;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.net.URLConnection;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Files between the Files API and a sandbox. What goes wrong is thrown, by the client's library or
 * as a {@code PodflareException}.
 */
public final class AnthropicFiles {
  private static final int DEEPEST = 16;
  private static final List<String> INSIDE = List.of("content", "source");

  private AnthropicFiles() {}

  /** The ids of files in a message: of what is in its blocks, and of the provider's own results. */
  public static List<String> idsIn(Message message) {
    return idsIn(JsonValue.from(message));
  }

  /** The same for a message that you send: {@code container_upload}, documents and images. */
  public static List<String> idsIn(MessageParam message) {
    return idsIn(JsonValue.from(message));
  }

  /** {@link #put(AnthropicClient, Sandbox, Collection, String)} into {@code /root}. */
  public static List<String> put(AnthropicClient client, Sandbox sandbox, Collection<String> ids) {
    return put(client, sandbox, ids, "/root");
  }

  /**
   * Copies files of the Files API into the sandbox, each under its own name, piece by piece.
   *
   * <p>The API gives back files that its own tools made; of one that you uploaded yourself it
   * refuses the content, so use {@link Sandbox#upload} for those.
   *
   * @return their paths in the sandbox
   */
  public static List<String> put(
      AnthropicClient client, Sandbox sandbox, Collection<String> ids, String folder) {
    List<String> paths = new ArrayList<>();
    for (String id : ids) {
      String name = client.beta().files().retrieveMetadata(id).filename();
      String path = pathFor(folder, name, id);
      try (HttpResponse content = client.beta().files().download(id)) {
        sandbox.upload(path, content.body());
      }
      paths.add(path);
    }
    return paths;
  }

  /**
   * Copies files of the sandbox to the Files API.
   *
   * @return their ids, for the next message
   */
  public static List<String> take(
      AnthropicClient client, Sandbox sandbox, Collection<String> paths) {
    List<String> ids = new ArrayList<>();
    for (String path : paths) {
      String name = lastPart(path);
      String guessed = URLConnection.guessContentTypeFromName(name);
      FileUploadParams upload =
          FileUploadParams.builder()
              .file(
                  MultipartField.<InputStream>builder()
                      .value(new ByteArrayInputStream(sandbox.download(path)))
                      .filename(name)
                      .contentType(guessed == null ? "application/octet-stream" : guessed)
                      .build())
              .build();
      ids.add(client.beta().files().upload(upload).id());
    }
    return ids;
  }

  private static List<String> idsIn(JsonValue message) {
    Set<String> found = new LinkedHashSet<>();
    gather(Plain.fields(message), found, 0);
    return List.copyOf(found);
  }

  private static void gather(@Nullable Object thing, Set<String> found, int depth) {
    if (depth > DEEPEST) {
      return;
    }
    if (thing instanceof List<?> all) {
      all.forEach(each -> gather(each, found, depth + 1));
    } else if (thing instanceof Map<?, ?> fields) {
      if (fields.get("file_id") instanceof String id) {
        found.add(id);
      }
      INSIDE.forEach(name -> gather(fields.get(name), found, depth + 1));
    }
  }

  /** A path that the file's name, which anybody may have chosen, can't lead out of the folder. */
  private static String pathFor(String folder, String name, String id) {
    String last = lastPart(name);
    String base = Set.of("", ".", "..").contains(last) ? id : last;
    return folder.endsWith("/") ? folder + base : folder + "/" + base;
  }

  private static String lastPart(String path) {
    return path.substring(path.lastIndexOf('/') + 1);
  }
}
