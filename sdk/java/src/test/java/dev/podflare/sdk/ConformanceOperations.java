package dev.podflare.sdk;

import dev.podflare.sdk.ConformanceCase.Mismatch;
import dev.podflare.sdk.ConformanceCase.Outcome;
import java.lang.reflect.RecordComponent;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** The operations of the conformance suite by the Java SDK. */
final class ConformanceOperations {
  private static final Outcome NOTHING = new Outcome(null, Map.of());
  private static final Duration PTY_DEADLINE = Duration.ofSeconds(60);

  Outcome carryOut(String name, Object on, Fields args) {
    return switch (name) {
      case "create" -> bound(client(args).create(sandboxOptions(args)));
      case "connect" -> bound(client(args).connect(args.text("id")));
      case "list_sandboxes" -> ids(client(args).list(filter(args)), Sandbox::id);
      case "close" -> nothing(() -> ((Sandbox) on).close());
      case "info" -> new Outcome(null, record(info(on)));
      case "run" -> new Outcome(null, ran(((Sandbox) on).run(args.text("code"), exec(args))));
      case "run_stream" -> streamed((Sandbox) on, args);
      case "detach" -> detached((Sandbox) on, args);
      case "attach" -> attached(on, args);
      case "execs" -> execs((Sandbox) on);
      case "interrupt" -> nothing(() -> interrupt(on));
      case "fork" -> forked((Sandbox) on, args);
      case "diff" -> diff((Sandbox) on, args);
      case "merge" -> merged((Sandbox) on, args);
      case "family" -> ids(((Sandbox) on).family(), Relative::id);
      case "upload", "files_write" -> written((Sandbox) on, args, name.equals("upload"));
      case "download" -> content(((Sandbox) on).download(args.text("path")));
      case "files_read" -> content(((Sandbox) on).files().read(args.text("path")));
      case "files_list" -> listed(((Sandbox) on).files().list(args.text("path")));
      case "files_remove" ->
          nothing(() ->
              ((Sandbox) on).files().remove(args.text("path"), args.truth("recursive", false)));
      case "freeze" -> bound(((Sandbox) on).freeze());
      case "spaces" -> ids(client(args).spaces(), Space::id);
      case "connect_space" -> bound(client(args).space(args.text("id")));
      case "resume" -> resumed((Space) on, args);
      case "delete_space" -> nothing(() -> ((Space) on).delete());
      case "pty_run" -> inTerminal((Sandbox) on, args);
      case "templates" -> templates();
      case "build_template" -> builtTemplate(args);
      case "delete_template" ->
          nothing(() -> Podflare.client().templates().delete(args.text("name")));
      default -> throw new Mismatch("unknown operation " + name);
    };
  }

  /** Closes a sandbox, deletes a Space, or each of a list. */
  void end(Object made) {
    try {
      switch (made) {
        case Sandbox sandbox -> sandbox.close();
        case Space space -> space.delete();
        case List<?> list -> list.forEach(this::end);
        default -> {
          // An exec ends with its sandbox.
        }
      }
    } catch (NotFoundException gone) {
      return; // By a merge, or by another client.
    }
  }

  private static Client client(Fields args) {
    if (!args.has("host") && !args.has("api_key")) {
      return Podflare.client();
    }
    Client.Builder builder = Client.builder();
    args.optionalText("host").ifPresent(builder::host);
    args.optionalText("api_key").ifPresent(builder::apiKey);
    return builder.build();
  }

  private static SandboxOptions sandboxOptions(Fields args) {
    SandboxOptions.Builder options = SandboxOptions.builder();
    args.optionalText("template").ifPresent(options::template);
    options.egress(args.truth("egress", true));
    options.persistent(args.truth("persistent", false));
    args.optionalSeconds("idle_timeout_seconds").ifPresent(options::idleTimeout);
    args.optionalSeconds("max_lifetime_seconds").ifPresent(options::maxLifetime);
    args.optionalCount("cpus").ifPresent(options::cpus);
    args.optionalCount("memory_mb").ifPresent(options::memoryMb);
    args.optionalCount("disk_mb").ifPresent(options::diskMb);
    options.env(args.textByName("env"));
    options.metadata(args.textByName("metadata"));
    args.optionalText("idempotency_key").ifPresent(options::idempotencyKey);
    return options.build();
  }

  private static SandboxFilter filter(Fields args) {
    SandboxFilter.Builder filter = SandboxFilter.builder();
    args.optionalText("template").ifPresent(filter::template);
    args.optionalText("state")
        .map(state -> Words.asked(SandboxState.class, "state", state))
        .ifPresent(filter::state);
    args.textByName("metadata").forEach(filter::metadata);
    return filter.build();
  }

  private static ExecOptions exec(Fields args) {
    ExecOptions.Builder options = ExecOptions.builder();
    args.optionalText("language").map(Language::of).ifPresent(options::language);
    args.optionalSeconds("timeout").ifPresent(options::timeout);
    options.env(args.textByName("env"));
    args.optionalText("cwd").ifPresent(options::cwd);
    return options.build();
  }

  private static Record info(Object on) {
    return switch (on) {
      case Sandbox sandbox -> sandbox.info();
      case Space space -> space.info();
      case Exec exec -> exec.info();
      default -> throw new Mismatch(on + " has no info");
    };
  }

  private static void interrupt(Object on) {
    switch (on) {
      case Sandbox sandbox -> sandbox.interrupt();
      case Exec exec -> exec.interrupt();
      default -> throw new Mismatch(on + " can't be interrupted");
    }
  }

  private static Outcome streamed(Sandbox sandbox, Fields args) {
    try (Stream<Event> events = sandbox.stream(args.text("code"), exec(args))) {
      return new Outcome(null, streamed(events.toList()));
    }
  }

  private static Outcome detached(Sandbox sandbox, Fields args) {
    ExecOptions options = exec(args);
    Exec made =
        args.truth("background", false)
            ? sandbox.background(args.text("code"), options)
            : sandbox.detach(args.text("code"), options);
    return new Outcome(made, Map.of("id", made.id()));
  }

  private static Outcome attached(Object on, Fields args) {
    Exec exec = on instanceof Sandbox sandbox ? sandbox.attach(args.text("exec")) : (Exec) on;
    try (Stream<Event> stream = exec.stream(args.number("from"))) {
      List<Event> events = stream.toList();
      Transcript transcript = new Transcript();
      events.forEach(transcript::add);
      Map<String, Object> answer = ran(transcript.result());
      answer.putAll(streamed(events));
      return new Outcome(null, answer);
    }
  }

  private static Outcome execs(Sandbox sandbox) {
    List<ExecInfo> execs = sandbox.execs();
    Map<String, Object> answer = new LinkedHashMap<>();
    answer.put("ids", execs.stream().map(ExecInfo::id).toList());
    answer.put("execs", execs.stream().map(ConformanceOperations::record).toList());
    return new Outcome(null, answer);
  }

  private static Outcome forked(Sandbox sandbox, Fields args) {
    int n = args.optionalCount("n").orElse(1);
    List<Sandbox> children =
        args.optionalText("idempotency_key")
            .map(key -> sandbox.fork(n, key))
            .orElseGet(() -> sandbox.fork(n));
    Map<String, Object> answer = new LinkedHashMap<>();
    answer.put("count", children.size());
    answer.put("ids", children.stream().map(Sandbox::id).toList());
    for (int i = 0; i < children.size(); i++) {
      answer.put(String.valueOf(i), Map.of("id", children.get(i).id()));
    }
    return new Outcome(children, answer);
  }

  private static Outcome diff(Sandbox sandbox, Fields args) {
    DiffOptions options =
        DiffOptions.defaults()
            .withText(args.truth("text", false))
            .withVariables(args.truth("variables", true));
    if (args.has("paths")) {
      options = options.withPaths(args.texts("paths").toArray(String[]::new));
    }
    return new Outcome(null, record(sandbox.diff(args.text("other"), options)));
  }

  private static Outcome merged(Sandbox sandbox, Fields args) {
    String mode = args.optionalText("mode").orElse("swap");
    if (mode.equals("swap")) {
      sandbox.merge(args.text("winner"));
      return NOTHING;
    }
    if (!mode.equals("files")) {
      // In Java each mode is a method of its own, so there is no third one to ask for.
      throw Failures.invalid("bad_value", "unknown mode " + mode, "swap or files");
    }
    MergeOptions options = MergeOptions.defaults().withDryRun(args.truth("dry_run", false));
    if (args.has("paths")) {
      options = options.withPaths(args.texts("paths").toArray(String[]::new));
    }
    if (args.has("on_conflict")) {
      options = options.withOnConflict(MergeOptions.OnConflict.of(args.text("on_conflict")));
    }
    Map<String, Object> report = record(sandbox.mergeFiles(args.text("winner"), options));
    report.put("mode", mode);
    return new Outcome(null, report);
  }

  private static Outcome written(Sandbox sandbox, Fields args, boolean isShort) {
    String path = args.text("path");
    byte[] bytes =
        args.has("base64")
            ? Base64.getDecoder().decode(args.text("base64"))
            : args.text("text").getBytes(StandardCharsets.UTF_8);
    long size;
    if (args.has("mode")) {
      size = sandbox.files().write(path, bytes, args.text("mode"));
    } else if (isShort) {
      size = sandbox.upload(path, bytes);
    } else {
      size = sandbox.files().write(path, bytes);
    }
    return new Outcome(null, Map.of("size", size));
  }

  private static Outcome content(byte[] bytes) {
    return new Outcome(
        null,
        Map.of(
            "text",
            new String(bytes, StandardCharsets.UTF_8),
            "base64",
            Base64.getEncoder().encodeToString(bytes)));
  }

  private static Outcome listed(Listing listing) {
    Map<String, Object> answer = record(listing);
    answer.put("names", listing.names());
    return new Outcome(null, answer);
  }

  private static Outcome resumed(Space space, Fields args) {
    return bound(args.optionalText("idempotency_key").map(space::resume).orElseGet(space::resume));
  }

  private static Outcome inTerminal(Sandbox sandbox, Fields args) {
    Output output = new Output(args.optionalText("until").map(Pattern::compile));
    TerminalOptions options =
        TerminalOptions.command(args.text("cmd"))
            .withSize(args.optionalCount("cols").orElse(80), args.optionalCount("rows").orElse(24))
            .withOnData(output.pieces::add);
    try (Terminal terminal = sandbox.terminals().open(options)) {
      boolean isResized = !args.has("resize");
      for (String text : args.texts("send")) {
        output.awaitMatch();
        if (!isResized) {
          Fields size = args.object("resize").orElseThrow();
          terminal.resize(size.count("cols"), size.count("rows"));
          isResized = true;
        }
        terminal.send(text);
      }
      TerminalExit exit =
          terminal
              .await(PTY_DEADLINE)
              .orElseThrow(() -> new Mismatch("the terminal did not end: " + output.text()));
      return new Outcome(null, Map.of("output", output.text(), "exit_code", exit.code()));
    }
  }

  private static Outcome templates() {
    List<TemplateInfo> templates = Podflare.client().templates().list();
    Map<String, Object> answer = new LinkedHashMap<>();
    answer.put("names", templates.stream().map(TemplateInfo::name).toList());
    answer.put("templates", templates.stream().map(ConformanceOperations::record).toList());
    return new Outcome(null, answer);
  }

  private static Outcome builtTemplate(Fields args) {
    TemplateSpec spec = TemplateSpec.named(args.text("name"));
    if (args.has("from")) {
      spec = spec.withBase(args.text("from"));
    }
    if (args.has("script")) {
      spec = spec.withScript(args.text("script"));
    }
    if (args.has("packages")) {
      spec = spec.withPackages(args.texts("packages").toArray(String[]::new));
    }
    if (args.has("warm")) {
      spec = spec.withWarmUp(args.text("warm"));
    }
    try (Stream<Event> events = Podflare.client().templates().stream(spec)) {
      return new Outcome(null, streamed(events.toList()));
    }
  }

  private static Outcome nothing(Runnable call) {
    call.run();
    return NOTHING;
  }

  private static Outcome bound(Sandbox sandbox) {
    return new Outcome(sandbox, Map.of("id", sandbox.id()));
  }

  private static Outcome bound(Space space) {
    return new Outcome(space, Map.of("id", space.id()));
  }

  private static <T> Outcome ids(List<T> found, java.util.function.Function<T, String> id) {
    return new Outcome(null, Map.of("ids", found.stream().map(id).toList()));
  }

  private static Map<String, Object> ran(ExecResult result) {
    Map<String, Object> answer = new LinkedHashMap<>();
    answer.put("stdout", result.stdout());
    answer.put("stderr", result.stderr());
    answer.put("exit_code", result.exitCode());
    answer.put("result", result.result().map(Shown::data).orElse(null));
    answer.put("results", result.results().stream().map(Shown::data).toList());
    answer.put("error", result.error().map(ConformanceOperations::record).orElse(null));
    answer.put("reason", Words.of(result.reason()));
    answer.put("state_kept", result.stateKept());
    return answer;
  }

  private static Map<String, Object> streamed(List<Event> events) {
    List<String> types = new ArrayList<>();
    StringBuilder text = new StringBuilder();
    Object exit = null;
    boolean isInOrder = !events.isEmpty();
    long next = events.isEmpty() ? 0 : events.get(0).seq();
    for (Event event : events) {
      String type =
          switch (event) {
            case Event.Stdout out -> {
              text.append(out.text());
              yield "stdout";
            }
            case Event.Stderr _ -> "stderr";
            case Event.Result _ -> "result";
            case Event.Failed _ -> "error";
            case Event.Gap _ -> "gap";
            case Event.Waiting _ -> "waiting";
            case Event.Exit end -> {
              exit = end.code();
              yield "exit";
            }
          };
      if (types.isEmpty() || !types.get(types.size() - 1).equals(type)) {
        types.add(type);
      }
      isInOrder &= event.seq() == next++;
    }
    Map<String, Object> answer = new LinkedHashMap<>();
    answer.put("types", types);
    answer.put("text", text.toString());
    answer.put("exit", exit);
    answer.put("in_order", isInOrder);
    answer.put("first_seq", events.isEmpty() ? null : events.get(0).seq());
    return answer;
  }

  /** A record by the names that REST has for its fields. */
  private static Map<String, Object> record(Record record) {
    Map<String, Object> fields = new LinkedHashMap<>();
    for (RecordComponent component : record.getClass().getRecordComponents()) {
      Object value;
      try {
        value = component.getAccessor().invoke(record);
      } catch (ReflectiveOperationException impossible) {
        throw new IllegalStateException(impossible);
      }
      String name = ConformanceCase.camelToSnake(component.getName());
      boolean isTime = component.getGenericType().getTypeName().contains(Duration.class.getName());
      fields.put(isTime ? name + "_seconds" : name, plain(value));
    }
    return fields;
  }

  private static Object plain(Object value) {
    return switch (value) {
      case null -> null;
      case Optional<?> optional -> plain(optional.orElse(null));
      case OptionalInt optional -> optional.isPresent() ? optional.getAsInt() : null;
      case Duration duration -> duration.toMillis() / 1000.0;
      case Instant instant -> instant.toEpochMilli();
      case Enum<?> constant -> Words.of(constant);
      case Record record -> record(record);
      case List<?> list -> list.stream().map(ConformanceOperations::plain).toList();
      case Map<?, ?> object -> {
        Map<String, Object> fields = new LinkedHashMap<>();
        object.forEach((name, field) -> fields.put((String) name, plain(field)));
        yield fields;
      }
      default -> value;
    };
  }

  /** The output of a terminal, and a way to wait for what it says. */
  private static final class Output {
    final LinkedBlockingQueue<byte[]> pieces = new LinkedBlockingQueue<>();
    private final Optional<Pattern> until;
    private final java.io.ByteArrayOutputStream seen = new java.io.ByteArrayOutputStream();
    private int from;

    Output(Optional<Pattern> until) {
      this.until = until;
    }

    void awaitMatch() {
      while (until.isPresent()) {
        String text = seen.toString(StandardCharsets.UTF_8);
        Matcher matcher = until.get().matcher(text);
        if (from <= text.length() && matcher.find(from)) {
          from = Math.max(matcher.end(), from + 1);
          return;
        }
        try {
          byte[] piece = pieces.poll(PTY_DEADLINE.toSeconds(), TimeUnit.SECONDS);
          if (piece == null) {
            throw new Mismatch(until.get() + " did not come; so far: " + text());
          }
          seen.writeBytes(piece);
        } catch (InterruptedException interrupted) {
          throw new IllegalStateException(interrupted);
        }
      }
    }

    String text() {
      for (byte[] piece = pieces.poll(); piece != null; piece = pieces.poll()) {
        seen.writeBytes(piece);
      }
      return seen.toString(StandardCharsets.UTF_8);
    }
  }
}
