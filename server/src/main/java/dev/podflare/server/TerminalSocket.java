package dev.podflare.server;

import dev.podflare.sandbox.OpenTerminal;
import dev.podflare.sandbox.TerminalEvent;
import dev.podflare.sandbox.TerminalInfo;
import dev.podflare.sandbox.TerminalSignal;
import dev.podflare.sandbox.TerminalStream;
import io.helidon.common.buffers.BufferData;
import io.helidon.webserver.CloseConnectionException;
import io.helidon.websocket.WsCloseCodes;
import io.helidon.websocket.WsListener;
import io.helidon.websocket.WsSession;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.Optional;
import tools.jackson.core.JsonGenerator;

/**
 * A terminal on a WebSocket. Binary frames are what it says and what is typed; text frames are JSON
 * about it.
 *
 * <p>The connection's thread listens, one of its own speaks. While nothing is said it pings, since
 * a client that answers not even that is taken for dead by {@link StallWatch}.
 */
final class TerminalSocket implements WsListener {

  /** Somebody else reads the terminal now. */
  static final int TAKEN_OVER = 4001;

  /** The program reads nothing. */
  static final int INPUT_STUCK = 4008;

  private static final System.Logger LOG = System.getLogger(TerminalSocket.class.getName());

  /** Bytes of JSON that a client may send at once. */
  private static final int MOST_JSON = 4096;

  private final TerminalStream terminal;
  private final Duration pingAfter;
  private final ServerMetrics metrics;
  private final StringBuilder json = new StringBuilder();

  TerminalSocket(TerminalStream terminal, Duration pingAfter, ServerMetrics metrics) {
    this.terminal = terminal;
    this.pingAfter = pingAfter;
    this.metrics = metrics;
  }

  // ---- speaking ----

  @Override
  public void onOpen(WsSession session) {
    TerminalInfo info = terminal.info();
    session.send(
        text(
            Json.bytes(out -> {
              out.writeStartObject();
              out.writeStringProperty("pty", info.id().value());
              out.writeNumberProperty("pid", info.pid());
              out.writeEndObject();
            })),
        true);
    Thread.ofVirtual().name("terminal-speaker").start(() -> speak(session));
  }

  private void speak(WsSession session) {
    try {
      boolean more = true;
      while (more) {
        Optional<TerminalEvent> event = terminal.next(pingAfter);
        if (event.isPresent()) {
          more = say(session, event.get());
        } else {
          session.ping(BufferData.empty());
        }
      }
    } catch (InterruptedException stopping) {
      Thread.currentThread().interrupt();
    } catch (RuntimeException gone) {
      LOG.log(System.Logger.Level.DEBUG, "the client of a terminal went away", gone);
    } finally {
      terminal.close();
    }
  }

  private boolean say(WsSession session, TerminalEvent event) {
    return switch (event) {
      case TerminalEvent.Output(byte[] bytes) -> {
        metrics.terminalOutput(bytes.length);
        session.send(BufferData.create(bytes), true);
        yield true;
      }
      case TerminalEvent.Exit exit -> {
        session.send(text(Json.bytes(out -> writeExit(out, exit))), true);
        session.close(WsCloseCodes.NORMAL_CLOSE, "The program has ended.");
        yield false;
      }
      case TerminalEvent.TakenOver() -> {
        session.close(TAKEN_OVER, "Somebody else has attached to this terminal.");
        yield false;
      }
    };
  }

  private static void writeExit(JsonGenerator out, TerminalEvent.Exit exit) {
    out.writeStartObject();
    out.writeObjectPropertyStart("exit");
    out.writeNumberProperty("code", exit.code());
    exit.reason().ifPresent(reason -> Json.text(out, "reason", reason));
    out.writeEndObject();
    out.writeEndObject();
  }

  private static String text(byte[] json) {
    return new String(json, StandardCharsets.UTF_8);
  }

  // ---- listening ----

  @Override
  public void onMessage(WsSession session, BufferData typed, boolean last) {
    byte[] bytes = new byte[typed.available()];
    typed.read(bytes);
    try {
      if (!terminal.write(bytes)) {
        session.close(INPUT_STUCK, "The program reads no input, so the rest of it was dropped.");
      }
    } catch (InterruptedException stopping) {
      Thread.currentThread().interrupt();
      throw new CloseConnectionException("the server is stopping", stopping);
    }
  }

  /** How a client finds out whether this server still lives. */
  @Override
  public void onPing(WsSession session, BufferData payload) {
    session.pong(payload);
  }

  @Override
  public void onMessage(WsSession session, String text, boolean last) {
    json.append(text);
    if (json.length() > MOST_JSON) {
      refuse(session, WsCloseCodes.TOO_BIG, "A text frame is longer than 4 KiB.");
    }
    if (last) {
      String whole = json.toString();
      json.setLength(0);
      try {
        obey(RequestBody.read(whole.getBytes(StandardCharsets.UTF_8)));
      } catch (ApiError wrong) {
        refuse(session, WsCloseCodes.NOT_CONSISTENT, String.valueOf(wrong.getMessage()));
      }
    }
  }

  /** What a client doesn't understand of this server, or the server of it, is passed over. */
  private void obey(RequestBody told) {
    told.object("resize")
        .ifPresent(size -> {
          TerminalInfo before = terminal.info();
          terminal.resize(
              size.wholeNumber("cols", 1, OpenTerminal.MOST_SIDE).orElse(before.cols()),
              size.wholeNumber("rows", 1, OpenTerminal.MOST_SIDE).orElse(before.rows()));
        });
    told.text("signal").map(TerminalSocket::signal).ifPresent(terminal::signal);
    if (told.flag("kill").orElse(false)) {
      terminal.signal(TerminalSignal.SIGKILL);
    }
  }

  private static TerminalSignal signal(String name) {
    return Arrays.stream(TerminalSignal.values())
        .filter(signal -> signal.name().equals(name))
        .findFirst()
        .orElseThrow(() ->
            ApiError.badValue(
                "signal", "The field signal is none that can be sent.", "Send SIGINT or such."));
  }

  private static void refuse(WsSession session, int code, String why) {
    session.close(code, why.length() > 120 ? why.substring(0, 120) : why);
    throw new CloseConnectionException("a terminal's client broke the rules: " + why);
  }
}
