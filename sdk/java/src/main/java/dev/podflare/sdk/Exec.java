package dev.podflare.sdk;

import java.util.concurrent.Flow;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Code that runs, or has run, under an id. Any number of readers may follow it, and whoever comes
 * late gets all that was kept from its first event on.
 *
 * {@snippet :
 * import dev.podflare.sdk.*;
 *
 * try (Sandbox sb = Podflare.create()) {
 *   Exec job = sb.detach("import time; time.sleep(2); print('done')");
 *   // … this program may end here, and another one goes on with both ids:
 *   ExecResult result = sb.attach(job.id()).await();
 *   System.out.print(result.stdout());
 * }
 * }
 */
public final class Exec {
  private static final Pattern ID = Pattern.compile("exe_[0-9a-f]{32}");

  private final Sandbox sandbox;
  private final String id;

  Exec(Sandbox sandbox, String id) {
    this.sandbox = sandbox;
    this.id = id;
  }

  /** Refuses what is no id; a command would otherwise look as if it ran. */
  static String requireId(String given) {
    if (!ID.matcher(given).matches()) {
      throw Failures.invalid(
          "invalid_argument",
          "\""
              + given.substring(0, Math.min(given.length(), 80))
              + "\" is no id of an exec (exe_ and 32 hexadecimal digits)",
          "attach finds an exec again; to run code call run(code), to run a command bash(command)");
    }
    return given;
  }

  /** {@code exe_} and 32 hexadecimal digits. */
  public String id() {
    return id;
  }

  /** What the server knows about it now. */
  public ExecInfo info() {
    return ExecInfo.of(sandbox.json(Call.get(path(""))));
  }

  /** Waits for its end. The result has all of its output that was kept. */
  public ExecResult await() {
    return await(ExecOptions.python());
  }

  /** The same, telling the options' callbacks of what comes; nothing else of them counts. */
  public ExecResult await(ExecOptions callbacks) {
    try (EventReader events = events(0)) {
      return gather(events, callbacks);
    }
  }

  /** Its events from the first one that is kept, then live, to the exit. */
  public Stream<Event> stream() {
    return stream(0);
  }

  /** Its events from this number on. */
  public Stream<Event> stream(long fromSeq) {
    return events(fromSeq).stream();
  }

  /** The same for one subscriber. */
  public Flow.Publisher<Event> publish(long fromSeq) {
    return new EventPublisher(() -> events(fromSeq), sandbox.client().executor());
  }

  /** Stops it like Ctrl-C. Harmless when it has ended. */
  public void interrupt() {
    // Its id says which exec is meant, so sending it twice is harmless.
    sandbox.json(Call.post(path("/interrupt")).harmless());
  }

  @Override
  public String toString() {
    return "Exec[" + id + "]";
  }

  Answer open(long fromSeq) {
    return sandbox.open(Call.get(path("/stream?from=" + fromSeq)).waiting());
  }

  static ExecResult gather(EventReader events, ExecOptions options) {
    Transcript transcript = new Transcript();
    while (events.hasNext()) {
      Event event = events.next();
      transcript.add(event);
      options.tell(event);
    }
    return transcript.result();
  }

  private EventReader events(long fromSeq) {
    return new EventReader(sandbox.client().transport(), open(fromSeq), fromSeq, this, false);
  }

  private String path(String rest) {
    return sandbox.path("/execs/" + Url.part(id) + rest);
  }
}
