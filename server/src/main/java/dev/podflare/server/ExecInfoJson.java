package dev.podflare.server;

import dev.podflare.sandbox.ExecInfo;
import java.time.Instant;
import java.util.Optional;
import tools.jackson.core.JsonGenerator;

/** Writes what is known of an exec as the clients read it. */
final class ExecInfoJson {

  private ExecInfoJson() {}

  static void write(JsonGenerator json, ExecInfo exec) {
    json.writeStartObject();
    json.writeStringProperty("id", exec.id().value());
    json.writeStringProperty("language", Json.word(exec.language()));
    json.writeBooleanProperty("background", exec.background());
    json.writeStringProperty("state", Json.word(exec.state()));
    Json.text(json, "code", exec.code());
    json.writeNumberProperty("created_at", exec.createdAt().toEpochMilli());
    timeOrNull(json, "started_at", exec.startedAt());
    timeOrNull(json, "ended_at", exec.endedAt());
    if (exec.exit().isPresent()) {
      json.writeNumberProperty("exit_code", exec.exit().get().code());
    } else {
      json.writeNullProperty("exit_code");
    }
    Json.textOrNull(json, "reason", exec.exit().map(exit -> Json.word(exit.reason())));
    json.writeNumberProperty("events", exec.events());
    json.writeNumberProperty("first_seq", exec.firstSeq());
    json.writeEndObject();
  }

  private static void timeOrNull(JsonGenerator json, String name, Optional<Instant> time) {
    if (time.isPresent()) {
      json.writeNumberProperty(name, time.get().toEpochMilli());
    } else {
      json.writeNullProperty(name);
    }
  }
}
