package dev.podflare.cli;

import dev.podflare.cli.text.JsonText;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import tools.jackson.databind.json.JsonMapper;

/** A client of the Model Context Protocol, and how it is told to start {@code podflare mcp}. */
enum McpClient {
  CLAUDE_CODE("run this command"),
  CLAUDE_DESKTOP("put this into claude_desktop_config.json"),
  CURSOR("put this into .cursor/mcp.json of a project, or ~/.cursor/mcp.json"),
  VSCODE("put this into .vscode/mcp.json");

  private final String where;

  McpClient(String where) {
    this.where = where;
  }

  /** What to do with it, in a few words. */
  String where() {
    return where;
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /**
   * What is pasted.
   *
   * @param program the absolute path of the podflare command
   * @param arguments behind it
   * @param settings environment variables that the client has to set
   */
  String configuration(String program, List<String> arguments, Map<String, String> settings) {
    Map<String, Object> server = new LinkedHashMap<>();
    return switch (this) {
      case CLAUDE_CODE -> command(program, arguments, settings);
      case CLAUDE_DESKTOP, CURSOR ->
          json("mcpServers", started(server, program, arguments, settings));
      case VSCODE -> {
        server.put("type", "stdio");
        yield json("servers", started(server, program, arguments, settings));
      }
    };
  }

  private static String command(
      String program, List<String> arguments, Map<String, String> settings) {
    String variables =
        settings.entrySet().stream()
            .map(one -> " --env " + Code.quoted(one.getKey() + "=" + one.getValue()))
            .collect(Collectors.joining());
    String words = arguments.stream().map(Code::quoted).collect(Collectors.joining(" "));
    return "claude mcp add podflare" + variables + " -- " + Code.quoted(program) + " " + words;
  }

  private static Map<String, Object> started(
      Map<String, Object> server,
      String program,
      List<String> arguments,
      Map<String, String> settings) {
    server.put("command", program);
    server.put("args", arguments);
    if (!settings.isEmpty()) {
      server.put("env", settings);
    }
    return server;
  }

  private static String json(String section, Map<String, Object> server) {
    return JsonText.of(
        JsonMapper.shared().valueToTree(Map.of(section, Map.of("podflare", server))));
  }
}
