package dev.podflare.server;

import dev.podflare.sandbox.OpenTerminal;
import dev.podflare.sandbox.SandboxId;
import dev.podflare.sandbox.Sandboxes;
import dev.podflare.sandbox.TerminalId;
import dev.podflare.sandbox.TerminalInfo;
import dev.podflare.sandbox.TerminalStream;
import java.util.List;
import java.util.Optional;
import tools.jackson.core.JsonGenerator;

/** Terminals in a sandbox. What travels on one is the business of {@link TerminalSocket}. */
final class TerminalRoutes {

  /** What a WebSocket is opened on. */
  static final String PTY = "/v1/sandboxes/{id}/pty";

  private static final int DEFAULT_COLS = 80;
  private static final int DEFAULT_ROWS = 24;

  private final Sandboxes sandboxes;
  private final Ownership ownership;

  TerminalRoutes(Sandboxes sandboxes, Ownership ownership) {
    this.sandboxes = sandboxes;
    this.ownership = ownership;
  }

  List<Route> routes() {
    return List.of(
        Route.keyed("GET", PTY, this::notUpgraded),
        Route.keyed("GET", "/v1/sandboxes/{id}/ptys", this::list),
        Route.keyed("DELETE", "/v1/sandboxes/{id}/ptys/{pty}", this::kill));
  }

  /**
   * Where a request ends up that asks for no WebSocket, or not in the way of RFC 6455. Some
   * runtimes do not tell a client why its WebSocket was refused, so it asks here, and learns first
   * what is missing.
   */
  private void notUpgraded(Call call) {
    SandboxId id = ownership.require(call);
    Optional<String> wanted = call.query().text("pty");
    boolean missing =
        wanted.isPresent()
            && sandboxes.terminals(id).stream()
                .noneMatch(terminal -> terminal.id().value().equals(wanted.get()));
    if (missing) {
      throw ApiError.noTerminal();
    }
    throw ApiError.of(
        ErrorCode.UPGRADE_REQUIRED,
        "A terminal is reached by a WebSocket, and this is no valid request for one.",
        "Use a WebSocket client of RFC 6455: GET, Upgrade: websocket, Sec-WebSocket-Version: 13,"
            + " and a key.");
  }

  private void list(Call call) {
    List<TerminalInfo> terminals = sandboxes.terminals(ownership.require(call));
    call.json(json -> {
      json.writeStartObject();
      json.writeArrayPropertyStart("ptys");
      terminals.forEach(terminal -> write(json, terminal));
      json.writeEndArray();
      json.writeEndObject();
    });
  }

  private static void write(JsonGenerator json, TerminalInfo terminal) {
    json.writeStartObject();
    json.writeStringProperty("id", terminal.id().value());
    Json.text(json, "cmd", terminal.cmd());
    json.writeNumberProperty("pid", terminal.pid());
    json.writeNumberProperty("cols", terminal.cols());
    json.writeNumberProperty("rows", terminal.rows());
    json.writeNumberProperty("created_at", terminal.createdAt().toEpochMilli());
    json.writeBooleanProperty("attached", terminal.attached());
    json.writeName("exit_code");
    if (terminal.exitCode().isPresent()) {
      json.writeNumber(terminal.exitCode().getAsInt());
    } else {
      json.writeNull();
    }
    json.writeEndObject();
  }

  private void kill(Call call) {
    SandboxId id = ownership.require(call);
    sandboxes.killTerminal(id, call.terminalId("pty"));
    call.noContent();
  }

  /**
   * The terminal that a WebSocket is opened for: a new one, or one that is there.
   *
   * @param sandbox what stands in the path, unchecked
   */
  TerminalStream open(String owner, String sandbox, Query query) {
    SandboxId id = ownership.require(owner, sandbox);
    Optional<Integer> cols = side(query, "cols");
    Optional<Integer> rows = side(query, "rows");
    Optional<String> given = query.text("pty");
    if (given.isEmpty()) {
      return sandboxes.openTerminal(
          id,
          new OpenTerminal(
              query.text("cmd").map(TerminalRoutes::command).orElse(OpenTerminal.DEFAULT_CMD),
              cols.orElse(DEFAULT_COLS),
              rows.orElse(DEFAULT_ROWS),
              query.text("cwd").map(TerminalRoutes::directory)));
    }
    TerminalStream terminal =
        sandboxes.attachTerminal(
            id, TerminalId.parse(given.get()).orElseThrow(ApiError::noTerminal));
    if (cols.isPresent() || rows.isPresent()) {
      TerminalInfo before = terminal.info();
      terminal.resize(cols.orElse(before.cols()), rows.orElse(before.rows()));
    }
    return terminal;
  }

  private static String command(String text) {
    return usable("cmd", text, OpenTerminal.MOST_CMD_CHARS);
  }

  private static String directory(String text) {
    return usable("cwd", text, 4096);
  }

  private static String usable(String name, String text, int mostChars) {
    if (text.isEmpty() || text.length() > mostChars || text.indexOf('\0') >= 0) {
      throw ApiError.badValue(
          name,
          "The query parameter " + name + " can't be used.",
          "Send 1 to " + mostChars + " characters without NUL, or leave it out.");
    }
    return text;
  }

  private static Optional<Integer> side(Query query, String name) {
    return query
        .text(name)
        .map(text -> {
          int side;
          try {
            side = Integer.parseInt(text);
          } catch (NumberFormatException e) {
            throw ApiError.badField(
                name,
                "The query parameter " + name + " must be a whole number.",
                "Send a number from 1 to " + OpenTerminal.MOST_SIDE + ".");
          }
          if (side < 1 || side > OpenTerminal.MOST_SIDE) {
            throw ApiError.badValue(
                name,
                "The query parameter " + name + " is out of range.",
                "Send a number from 1 to " + OpenTerminal.MOST_SIDE + ".");
          }
          return side;
        });
  }
}
