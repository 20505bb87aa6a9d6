package dev.podflare.server;

import dev.podflare.sandbox.ExecEvent;
import dev.podflare.sandbox.ExecId;
import dev.podflare.sandbox.ToldEvent;
import java.io.ByteArrayOutputStream;
import java.util.List;
import tools.jackson.core.JsonGenerator;

/** Writes one event of an exec as the clients read it. */
final class ExecEventJson {

  private ExecEventJson() {}

  /** Events as they are streamed: one a line. */
  static ByteArrayOutputStream linesOf(List<ToldEvent> batch) {
    ByteArrayOutputStream lines = new ByteArrayOutputStream();
    for (ToldEvent told : batch) {
      Json.write(lines, json -> write(json, told));
      lines.write('\n');
    }
    return lines;
  }

  private static void write(JsonGenerator json, ToldEvent told) {
    json.writeStartObject();
    switch (told.event()) {
      case ExecEvent.Stdout stdout -> text(json, "stdout", stdout.text());
      case ExecEvent.Stderr stderr -> text(json, "stderr", stderr.text());
      case ExecEvent.Result result -> {
        json.writeStringProperty("type", "result");
        Json.texts(json, "data", result.bundle());
      }
      case ExecEvent.Failure failure -> {
        json.writeStringProperty("type", "error");
        json.writeObjectPropertyStart("data");
        Json.text(json, "name", failure.name());
        Json.text(json, "value", failure.value());
        Json.text(json, "traceback", failure.traceback());
        json.writeEndObject();
      }
      case ExecEvent.Exit exit -> {
        json.writeStringProperty("type", "exit");
        json.writeNumberProperty("data", exit.code());
        json.writeStringProperty("reason", Json.word(exit.reason()));
        json.writeBooleanProperty("state_kept", exit.stateKept());
        json.writeNumberProperty("duration_ms", exit.duration().toMillis());
      }
      case ExecEvent.Waiting waiting -> {
        json.writeStringProperty("type", "waiting");
        json.writeObjectPropertyStart("data");
        Json.textOrNull(json, "behind", waiting.behind().map(ExecId::value));
        json.writeEndObject();
      }
      case ExecEvent.Gap gap -> {
        json.writeStringProperty("type", "gap");
        json.writeObjectPropertyStart("data");
        json.writeNumberProperty("from", gap.from());
        json.writeNumberProperty("to", gap.to());
        json.writeEndObject();
      }
    }
    json.writeNumberProperty("seq", told.seq());
    json.writeNumberProperty("ts", told.at().toEpochMilli());
    json.writeEndObject();
  }

  private static void text(JsonGenerator json, String type, String data) {
    json.writeStringProperty("type", type);
    Json.text(json, "data", data);
  }
}
