package dev.podflare.server;

import dev.podflare.sandbox.ExecEvent;
import dev.podflare.sandbox.ExecId;
import dev.podflare.sandbox.ExecInfo;
import dev.podflare.sandbox.ExecRequest;
import dev.podflare.sandbox.ExecStream;
import dev.podflare.sandbox.SandboxId;
import dev.podflare.sandbox.Sandboxes;
import dev.podflare.sandbox.ToldEvent;
import io.helidon.http.HeaderName;
import io.helidon.http.HeaderNames;
import io.helidon.http.Status;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.time.Duration;
import java.util.List;
import java.util.OptionalLong;
import java.util.regex.Pattern;

/** Runs code, tells what it said, and stops it. */
final class ExecRoutes {

  private static final String NDJSON = "application/x-ndjson";
  private static final HeaderName EXEC_ID = HeaderNames.create("X-Exec-Id");

  /**
   * Most code has said something by then, or has ended; its head travels with that. The others'
   * head goes ahead, since it tells a client by what id it finds the exec again.
   */
  private static final Duration HEAD_WAITS = Duration.ofMillis(20);

  private static final Pattern SEQ = Pattern.compile("[0-9]{1,18}");
  private static final Duration LEAST_TIMEOUT = Duration.ofMillis(1);
  private static final Duration MOST_TIMEOUT = Duration.ofDays(7);
  private static final int MAX_CWD = 4096;

  private final Sandboxes sandboxes;
  private final Ownership ownership;
  private final ServerMetrics metrics;
  private final Heartbeat heartbeat;

  ExecRoutes(Sandboxes sandboxes, Ownership ownership, ServerMetrics metrics, Heartbeat heartbeat) {
    this.sandboxes = sandboxes;
    this.ownership = ownership;
    this.metrics = metrics;
    this.heartbeat = heartbeat;
  }

  List<Route> routes() {
    return List.of(
        Route.keyed("POST", "/v1/sandboxes/{id}/exec", this::exec),
        Route.keyed("POST", "/v1/sandboxes/{id}/interrupt", this::interrupt),
        Route.keyed("GET", "/v1/sandboxes/{id}/execs", this::list),
        Route.keyed("GET", "/v1/sandboxes/{id}/execs/{eid}", this::get),
        Route.keyed("GET", "/v1/sandboxes/{id}/execs/{eid}/stream", this::attach),
        Route.keyed("POST", "/v1/sandboxes/{id}/execs/{eid}/interrupt", this::interruptOne));
  }

  private void exec(Call call) throws Exception {
    SandboxId id = ownership.require(call);
    RequestBody body = call.body();
    ExecRequest request = requested(body);
    boolean background = body.flag("background").orElse(false);
    boolean detach = body.flag("detach").orElse(false);
    body.refuseOthers();
    if (detach || background) {
      accepted(call, background ? inBackground(id, request) : sandboxes.detach(id, request));
      return;
    }
    try (ExecStream stream = sandboxes.exec(id, request)) {
      answer(call, stream);
    }
  }

  private ExecInfo inBackground(SandboxId id, ExecRequest request) {
    if (request.language() != ExecRequest.Language.BASH) {
      throw ApiError.badValue(
          "background",
          "The field background is for bash only, since there is one Python process.",
          "Send language bash with it, or detach instead of it.");
    }
    return sandboxes.runInBackground(id, request);
  }

  private static void accepted(Call call, ExecInfo exec) {
    call.header(EXEC_ID, exec.id().value());
    call.json(
        Status.ACCEPTED_202,
        json -> {
          json.writeStartObject();
          json.writeStringProperty("exec", exec.id().value());
          json.writeEndObject();
        });
  }

  private void answer(Call call, ExecStream stream) throws IOException, InterruptedException {
    call.header(EXEC_ID, stream.id().value());
    // Closing this stream in a finally would end a broken answer as if it were whole.
    OutputStream out = call.stream(NDJSON, OptionalLong.empty());
    send(stream, out);
    out.close();
  }

  private void send(ExecStream stream, OutputStream out) throws IOException, InterruptedException {
    List<ToldEvent> batch = stream.next(HEAD_WAITS);
    if (batch.isEmpty()) {
      // The web server sends no head without a byte behind it. JSON may begin with a space.
      out.write(' ');
      out.flush();
      batch = heartbeat.next(stream::next, out);
    }
    while (true) {
      ByteArrayOutputStream lines = ExecEventJson.linesOf(batch);
      metrics.execOutput(lines.size());
      lines.writeTo(out);
      if (batch.getLast().event() instanceof ExecEvent.Exit) {
        return;
      }
      out.flush();
      batch = heartbeat.next(stream::next, out);
    }
  }

  private void interrupt(Call call) {
    sandboxes.interrupt(ownership.require(call));
    call.noContent();
  }

  private void list(Call call) {
    List<ExecInfo> execs = sandboxes.execs(ownership.require(call));
    call.json(json -> {
      json.writeStartObject();
      json.writeArrayPropertyStart("execs");
      execs.forEach(exec -> ExecInfoJson.write(json, exec));
      json.writeEndArray();
      json.writeEndObject();
    });
  }

  private void get(Call call) {
    ExecInfo exec = sandboxes.findExec(ownership.require(call), execId(call));
    call.json(json -> ExecInfoJson.write(json, exec));
  }

  private void attach(Call call) throws Exception {
    SandboxId id = ownership.require(call);
    ExecId exec = execId(call);
    long from = call.query().text("from").map(ExecRoutes::seq).orElse(0L);
    try (ExecStream stream = sandboxes.attach(id, exec, from)) {
      answer(call, stream);
    }
  }

  private void interruptOne(Call call) {
    sandboxes.interrupt(ownership.require(call), execId(call));
    call.noContent();
  }

  private static ExecId execId(Call call) {
    return call.parameter("eid").flatMap(ExecId::parse).orElseThrow(ApiError::noExec);
  }

  private static long seq(String given) {
    if (!SEQ.matcher(given).matches()) {
      throw ApiError.badValue(
          "from",
          "The query parameter from is no number of an event.",
          "Send the seq of the first event that you want, such as ?from=0.");
    }
    return Long.parseLong(given);
  }

  private static ExecRequest requested(RequestBody body) {
    return new ExecRequest(
        body.requiredText("code"),
        body.text("language").map(ExecRoutes::language).orElse(ExecRequest.Language.PYTHON),
        body.seconds("timeout_seconds", LEAST_TIMEOUT, MOST_TIMEOUT),
        Environment.of(body),
        body.text("cwd").map(ExecRoutes::directory));
  }

  private static ExecRequest.Language language(String word) {
    return switch (word) {
      case "python" -> ExecRequest.Language.PYTHON;
      case "bash" -> ExecRequest.Language.BASH;
      default ->
          throw ApiError.badValue(
              "language", "The field language is unknown here.", "Send python or bash.");
    };
  }

  private static String directory(String path) {
    if (path.isEmpty() || path.length() > MAX_CWD || path.indexOf('\0') >= 0) {
      throw ApiError.badValue(
          "cwd", "The field cwd is no path.", "Send a path of 1 to 4096 characters without NUL.");
    }
    return path;
  }
}
