package dev.podflare.mcp;

import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.json.JsonMapper;

/**
 * The files of sandboxes as resources, which a client's user can look at and attach. Each has the
 * address {@code podflare://sandboxes/ID/files/PATH}; in a session the id {@code own} is the
 * client's own sandbox, and the path of a directory gives its list.
 */
final class FileResources {

  static final String TEMPLATE = "podflare://sandboxes/{sandbox_id}/files/{+path}";
  static final String TEMPLATE_NAME = "sandbox-file";
  static final String TEMPLATE_TITLE = "A file in a sandbox";

  private static final Pattern ADDRESS =
      Pattern.compile("podflare://sandboxes/(sbx_[0-9a-f]{32}|own)/files/(.*)");

  /** What is listed of a sandbox. */
  private static final String HOME = "/root";

  private static final int MOST_LISTED = 200;
  private static final int MOST_SANDBOXES = 50;

  private static final JsonMapper JSON = JsonMapper.shared();

  private FileResources() {}

  /**
   * A file or directory that a client can read.
   *
   * @param size in bytes; null if it has none
   */
  record Listed(String address, String name, @Nullable Long size) {}

  /** What stands at an address. */
  sealed interface Contents {
    String address();

    String mimeType();
  }

  record TextContents(String address, String mimeType, String text) implements Contents {}

  record BinaryContents(String address, String mimeType, String base64) implements Contents {}

  static String templateDescription(Mode mode) {
    return "A file or directory of a sandbox, up to 6 MB. sandbox_id is an id"
        + mode.words(", or own for this connection's own sandbox", "")
        + "; path is absolute, without its first slash.";
  }

  /** In a session, the files in the home of the client's own sandbox; none if it has none yet. */
  static List<Listed> filesOfOwn(Caller caller) {
    List<Listed> files = new ArrayList<>();
    caller
        .unnamedIfAny()
        .ifPresent(sandbox -> {
          if (caller.calls().list(sandbox, HOME).get("entries") instanceof List<?> entries) {
            for (Object entry : entries) {
              file(entry).filter(_ -> files.size() < MOST_LISTED).ifPresent(files::add);
            }
          }
        });
    return files;
  }

  /** Without a session, the home directories of the caller's sandboxes. */
  static List<Listed> homes(Caller caller) {
    List<SandboxCalls.Listed> open = caller.calls().sandboxes(1000);
    Set<String> own = caller.ownOf(open);
    return open.reversed().stream()
        .map(SandboxCalls.Listed::id)
        .filter(own::contains)
        .limit(MOST_SANDBOXES)
        .map(id -> new Listed(address(id, HOME), HOME + " of " + id, null))
        .toList();
  }

  private static Optional<Listed> file(Object entry) {
    if (entry instanceof Map<?, ?> fields
        && fields.get("name") instanceof String name
        && "file".equals(fields.get("type"))
        && !name.startsWith(".")) {
      return Optional.of(
          new Listed(
              address("own", HOME + "/" + name),
              name,
              fields.get("size") instanceof Number size ? size.longValue() : null));
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

  /** Whether an address is a file's, whatever stands there. */
  static Optional<Matcher> parts(String address) {
    return Optional.of(ADDRESS.matcher(address)).filter(Matcher::matches);
  }

  /**
   * @throws Failure if there is no such file
   */
  static Contents read(Caller caller, String address) {
    Matcher matcher =
        parts(address)
            .orElseThrow(() ->
                Failure.of(
                    Trouble.FILE_NOT_FOUND,
                    "This is no address of a file: it must look like " + TEMPLATE));
    String id = matcher.group(1);
    String path = "/" + decoded(matcher.group(2));
    String sandbox = id.equals("own") ? caller.unnamed() : id;
    try {
      return new FileContent(path, caller.calls().download(sandbox, path, FileTools.MOST_BYTES))
          .asResource(address);
    } catch (Failure e) {
      if (!e.code().equals(Trouble.IS_A_DIRECTORY.code())) {
        throw e;
      }
      return new TextContents(
          address, "application/json", JSON.writeValueAsString(caller.calls().list(sandbox, path)));
    }
  }

  private static String decoded(String path) {
    try {
      return URLDecoder.decode(path.replace("+", "%2B"), StandardCharsets.UTF_8);
    } catch (IllegalArgumentException e) {
      throw Failure.of(Trouble.INVALID_PATH, "The path in this address is badly percent-encoded");
    }
  }
}
