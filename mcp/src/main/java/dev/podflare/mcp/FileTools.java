package dev.podflare.mcp;

import dev.podflare.mcp.ToolSpec.Hint;
import dev.podflare.mcp.ToolSpec.Parameter;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Tools that carry files. */
final class FileTools {

  /** What the hosted service lets through. */
  static final int MOST_BYTES = 6 << 20;

  private static final List<String> FORMS = List.of("auto", "text", "base64");

  private FileTools() {}

  static List<ToolSpec> all(Mode mode) {
    return List.of(
        new ToolSpec(
            "upload",
            "Write a file into the sandbox",
            """
            Writes a file into the sandbox, whole or not at all, and makes missing directories: pass \
            text in content, or bytes in content_base64, up to 6 MB. Files that are on the internet \
            are better fetched from inside, with run_bash and curl.\
            """,
            Set.of(Hint.DESTROYS),
            List.of(
                Parameter.text("path", "Where; a relative path begins at /root.").needed(),
                Parameter.text("content", "The file's text, in UTF-8."),
                Parameter.text(
                    "content_base64", "The file's bytes in base64, in place of content."),
                mode.sandboxOrNew()),
            FileTools::upload),
        new ToolSpec(
            "download",
            "Read a file from the sandbox",
            """
            Reads a file of up to 6 MB from the sandbox. Pictures come back as images, text as text, \
            anything else in base64; encoding base64 asks for the exact bytes of any file. To look at \
            a part of a long file, use run_bash (head, sed -n) instead.\
            """,
            Set.of(Hint.READS_ONLY),
            List.of(
                Parameter.text("path", "Which; a relative path begins at /root.").needed(),
                Parameter.oneOf("encoding", FORMS, "Default auto."),
                mode.sandbox("Which sandbox")),
            FileTools::download));
  }

  private static ToolAnswer upload(ToolCall call) {
    Arguments arguments = call.arguments();
    String path = arguments.requiredPath("path");
    byte[] content = content(arguments);
    if (content.length > MOST_BYTES) {
      throw Failure.of(Trouble.FILE_TOO_LARGE);
    }
    String sandbox = call.sandboxOrNew();
    call.calls().upload(sandbox, path, content);
    Map<String, Object> facts = new LinkedHashMap<>();
    facts.put("path", path);
    facts.put("bytes", content.length);
    facts.put("sandbox_id", sandbox);
    call.caller().news().ifPresent(news -> facts.put("note", news));
    return ToolAnswer.json(facts);
  }

  private static byte[] content(Arguments arguments) {
    Optional<String> text = arguments.text("content");
    Optional<String> base64 = arguments.text("content_base64");
    if (text.isPresent() == base64.isPresent()) {
      throw Arguments.bad("Exactly one of content and content_base64 must be there");
    }
    if (text.isPresent()) {
      return text.get().getBytes(StandardCharsets.UTF_8);
    }
    try {
      return Base64.getDecoder().decode(base64.orElse("").replaceAll("\\s", ""));
    } catch (IllegalArgumentException e) {
      throw Arguments.bad("The argument content_base64 is not base64");
    }
  }

  private static ToolAnswer download(ToolCall call) {
    Arguments arguments = call.arguments();
    String path = arguments.requiredPath("path");
    String form = arguments.oneOf("encoding", FORMS).orElse("auto");
    String sandbox = call.sandbox();
    FileContent file = new FileContent(path, call.calls().download(sandbox, path, MOST_BYTES));
    ToolAnswer.Part part =
        switch (form) {
          case "base64" -> new ToolAnswer.Text(file.base64());
          case "text" -> new ToolAnswer.Text(file.lenientText());
          default -> file.forModel();
        };
    Map<String, Object> facts = new LinkedHashMap<>();
    facts.put("path", path);
    facts.put("bytes", file.bytes().length);
    facts.put("mime_type", file.mimeType());
    return new ToolAnswer(List.of(part), false, facts, Optional.empty());
  }
}
