package dev.podflare.cli.sandbox;

import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Refusal;
import dev.podflare.cli.client.ServerApi;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/** Paths in a sandbox, and what is there. */
final class SandboxPath {

  private SandboxPath() {}

  /** The call on a file. */
  static String file(String sandbox, String path, String more) {
    return "/v1/sandboxes/" + sandbox + "/files?path=" + encoded(path) + more;
  }

  private static String encoded(String path) {
    return URLEncoder.encode(path, StandardCharsets.UTF_8);
  }

  /** What a directory holds; empty if the path is no directory, or is not there. */
  static Optional<JsonNode> listing(ServerApi api, String sandbox, String path)
      throws CommandFailure {
    try {
      return Optional.of(api.get("/v1/sandboxes/" + sandbox + "/files/list?path=" + encoded(path)));
    } catch (Refusal refusal) {
      if (isAboutThePath(refusal)) {
        return Optional.empty();
      }
      throw refusal;
    }
  }

  private static boolean isAboutThePath(Refusal refusal) {
    return switch (refusal.code()) {
      case "file_not_found", "not_a_directory", "path_not_found" -> true;
      default -> false;
    };
  }

  /** The last name of a path; empty of the root. */
  static String name(String path) {
    String trimmed = path.replaceAll("/+$", "");
    return trimmed.substring(trimmed.lastIndexOf('/') + 1);
  }

  static String child(String directory, String name) {
    return directory.endsWith("/") ? directory + name : directory + "/" + name;
  }
}
