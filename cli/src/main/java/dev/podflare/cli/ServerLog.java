package dev.podflare.cli;

import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Environment;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.logging.ConsoleHandler;
import java.util.logging.Formatter;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import tools.jackson.databind.json.JsonMapper;

/**
 * What the server writes to its standard error: one line a message, as text, or as JSON if {@code
 * PODFLARE_LOG_FORMAT=json}. {@code PODFLARE_LOG_LEVEL} is one of {@code warning}, {@code info} and
 * {@code debug}; the default is {@code info}.
 */
final class ServerLog {

  /** Held, because the JDK keeps loggers only as long as somebody else does. */
  private static final Logger OURS = Logger.getLogger("dev.podflare");

  private static final Logger ROOT = Logger.getLogger("");

  private ServerLog() {}

  static void begin() throws CommandFailure {
    Level level =
        switch (Environment.value("PODFLARE_LOG_LEVEL", "info")) {
          case "warning" -> Level.WARNING;
          case "info" -> Level.INFO;
          case "debug" -> Level.FINE;
          default -> throw new CommandFailure("PODFLARE_LOG_LEVEL must be warning, info or debug");
        };
    boolean json = Environment.value("PODFLARE_LOG_FORMAT", "text").equals("json");
    for (Handler handler : ROOT.getHandlers()) {
      ROOT.removeHandler(handler);
    }
    Handler handler = new ConsoleHandler();
    handler.setLevel(Level.ALL);
    handler.setFormatter(json ? new JsonLines() : new TextLines());
    ROOT.addHandler(handler);
    // Undoes keepQuiet(). The web server tells of its start and of each module; ours is the word
    // that counts.
    ROOT.setLevel(Level.WARNING);
    OURS.setLevel(level);
  }

  /** For commands that end soon: their own messages say what went wrong, so the log keeps quiet. */
  static void keepQuiet() {
    ROOT.setLevel(Level.OFF);
  }

  private static String stackTrace(Throwable cause) {
    StringWriter text = new StringWriter();
    cause.printStackTrace(new PrintWriter(text, true));
    return text.toString();
  }

  private static final class TextLines extends Formatter {
    @Override
    public String format(LogRecord entry) {
      Throwable cause = entry.getThrown();
      return "%s %-7s %s%n%s"
          .formatted(
              entry.getInstant(),
              entry.getLevel().getName().toLowerCase(java.util.Locale.ROOT),
              formatMessage(entry),
              cause == null ? "" : stackTrace(cause));
    }
  }

  private static final class JsonLines extends Formatter {
    @Override
    public String format(LogRecord entry) {
      Map<String, Object> line = new LinkedHashMap<>();
      line.put("ts", entry.getInstant().toString());
      line.put("level", entry.getLevel().getName().toLowerCase(java.util.Locale.ROOT));
      line.put("logger", String.valueOf(entry.getLoggerName()));
      line.put("message", formatMessage(entry));
      Throwable cause = entry.getThrown();
      if (cause != null) {
        line.put("cause", stackTrace(cause));
      }
      return JsonMapper.shared().writeValueAsString(line) + "\n";
    }
  }
}
