package dev.podflare.mcp;

import io.modelcontextprotocol.spec.McpError;
import io.modelcontextprotocol.spec.McpSchema;
import io.modelcontextprotocol.util.McpUriTemplateManager;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.databind.json.JsonMapper;

/**
 * The files of sandboxes as resources, which a client's user can look at and attach. Each has the
 * address {@code podflare://sandboxes/ID/files/PATH}; the id {@code own} is the connection's own
 * sandbox, and the path of a directory gives its list.
 */
final class FileResources {

  private static final String TEMPLATE = "podflare://sandboxes/{sandbox_id}/files/{+path}";
  private static final Pattern ADDRESS =
      Pattern.compile("podflare://sandboxes/(sbx_[0-9a-f]{32}|own)/files/(.*)");

  /** What is listed of the connection's own sandbox. */
  private static final String HOME = "/root";

  private static final int MOST_LISTED = 200;

  private static final JsonMapper JSON = JsonMapper.shared();

  private FileResources() {}

  static McpSchema.ResourceTemplate template() {
    return McpSchema.ResourceTemplate.builder(TEMPLATE, "sandbox-file")
        .title("A file in a sandbox")
        .description(
            "A file or directory of a sandbox, up to 6 MB. sandbox_id is an id, or own for this"
                + " connection's own sandbox; path is absolute, without its first slash.")
        .build();
  }

  /** The files in the home of the connection's own sandbox; none if it has no sandbox yet. */
  static McpSchema.ListResourcesResult list(Connection connection) {
    List<McpSchema.Resource> resources = new ArrayList<>();
    connection
        .ownIfAny()
        .ifPresent(sandbox -> {
          if (connection.calls().list(sandbox, HOME).get("entries") instanceof List<?> entries) {
            for (Object entry : entries) {
              resource(entry).filter(_ -> resources.size() < MOST_LISTED).ifPresent(resources::add);
            }
          }
        });
    return McpSchema.ListResourcesResult.builder(resources).build();
  }

  private static Optional<McpSchema.Resource> resource(Object entry) {
    if (entry instanceof Map<?, ?> fields
        && fields.get("name") instanceof String name
        && "file".equals(fields.get("type"))
        && !name.startsWith(".")) {
      return Optional.of(
          McpSchema.Resource.builder(address("own", HOME + "/" + name), name)
              .size(fields.get("size") instanceof Number size ? size.longValue() : null)
              .build());
    }
    return Optional.empty();
  }

  private static String address(String sandbox, String path) {
    String encoded =
        URLEncoder.encode(path.substring(1), StandardCharsets.UTF_8)
            .replace("+", "%20")
            .replace("%2F", "/");
    return "podflare://sandboxes/" + sandbox + "/files/" + encoded;
  }

  /**
   * @throws McpError if there is no such file
   */
  static McpSchema.ReadResourceResult read(Connection connection, String address) {
    Matcher matcher = ADDRESS.matcher(address);
    try {
      if (!matcher.matches()) {
        throw Failure.of(
            Trouble.FILE_NOT_FOUND, "This is no address of a file: it must look like " + TEMPLATE);
      }
      String id = matcher.group(1);
      String path = "/" + decoded(matcher.group(2));
      String sandbox = id.equals("own") ? connection.own() : id;
      return McpSchema.ReadResourceResult.builder(
              List.of(contents(connection.calls(), sandbox, path, address)))
          .build();
    } catch (Failure e) {
      int code =
          e.code().endsWith("_not_found")
              ? McpSchema.ErrorCodes.RESOURCE_NOT_FOUND
              : McpSchema.ErrorCodes.INTERNAL_ERROR;
      throw McpError.builder(code).message(e.forModel()).data(Map.of("uri", address)).build();
    }
  }

  private static McpSchema.ResourceContents contents(
      SandboxCalls calls, String sandbox, String path, String address) {
    try {
      return new FileContent(path, calls.download(sandbox, path, FileTools.MOST_BYTES))
          .asResource(address);
    } catch (Failure e) {
      if (!e.code().equals(Trouble.IS_A_DIRECTORY.code())) {
        throw e;
      }
      return McpSchema.TextResourceContents.builder(
              address, JSON.writeValueAsString(calls.list(sandbox, path)))
          .mimeType("application/json")
          .build();
    }
  }

  private static String decoded(String path) {
    try {
      return URLDecoder.decode(path.replace("+", "%2B"), StandardCharsets.UTF_8);
    } catch (IllegalArgumentException e) {
      throw Failure.of(Trouble.INVALID_PATH, "The path in this address is badly percent-encoded");
    }
  }

  /**
   * How the SDK finds the template that an address belongs to; its own takes no slash in a path.
   */
  record Addresses(String template) implements McpUriTemplateManager {

    @Override
    public List<String> getVariableNames() {
      return isUriTemplate(template) ? List.of("sandbox_id", "path") : List.of();
    }

    @Override
    public Map<String, String> extractVariableValues(String address) {
      Matcher matcher = ADDRESS.matcher(address);
      return matcher.matches()
          ? Map.of("sandbox_id", matcher.group(1), "path", matcher.group(2))
          : Map.of();
    }

    @Override
    public boolean matches(String address) {
      return isUriTemplate(template) ? address.startsWith("podflare://") : template.equals(address);
    }

    @Override
    public boolean isUriTemplate(String text) {
      return text.contains("{");
    }
  }
}
