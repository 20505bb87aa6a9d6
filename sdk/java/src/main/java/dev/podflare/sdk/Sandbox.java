package dev.podflare.sdk;

import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Flow;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A microVM of its own for code that nobody vouches for, with a Python process that stays alive
 * between calls. Any number of threads may share one; the code of several calls runs one after the
 * other.
 *
 * {@snippet :
 * import dev.podflare.sdk.*;
 *
 * try (Sandbox sb = Podflare.create()) {
 *   sb.run("x = 41");
 *   System.out.print(sb.run("print(x + 1)").stdout());
 *   System.out.print(sb.bash("uname -r").stdout());
 * }
 * }
 */
public final class Sandbox implements AutoCloseable {
  private final Client client;
  private final String id;
  private final @Nullable String traceparent;
  private final SandboxFiles files;
  private final Terminals terminals;
  private volatile boolean isClosed;

  Sandbox(Client client, String id, @Nullable String traceparent) {
    this.client = client;
    this.id = id;
    this.traceparent = traceparent;
    this.files = new SandboxFiles(this);
    this.terminals = new Terminals(this);
  }

  /** {@code sbx_} and 32 hexadecimal digits. */
  public String id() {
    return id;
  }

  /** Its files. */
  public SandboxFiles files() {
    return files;
  }

  /** Its terminals. */
  public Terminals terminals() {
    return terminals;
  }

  /** What the server knows about it now. */
  public SandboxInfo info() {
    return SandboxInfo.of(json(Call.get(path(""))));
  }

  /**
   * Runs Python in the process that stays alive, and waits for its end. What the code does wrong is
   * in the result, not thrown. An interrupt of this thread interrupts the code too, like Ctrl-C:
   * its variables stay.
   *
   * @throws NotFoundException the sandbox is gone
   * @throws ConnectionException the connection broke; with the code {@code outcome_unknown} the
   *     code may have run, run now, or never run
   */
  public ExecResult run(String code) {
    return run(code, ExecOptions.python());
  }

  /** Runs code: {@code run(code, o -> o.timeout(Duration.ofSeconds(5)))}. */
  public ExecResult run(String code, Consumer<ExecOptions.Builder> options) {
    return run(code, built(options));
  }

  /** Runs code as it is asked for, and waits for its end. */
  public ExecResult run(String code, ExecOptions options) {
    try (EventReader events = start(code, options)) {
      return Exec.gather(events, options);
    }
  }

  /** Runs a command in a fresh bash in the same file system, and waits for its end. */
  public ExecResult bash(String command) {
    return run(command, ExecOptions.bash());
  }

  /**
   * {@link #run(String)} on another thread. Cancelling the future interrupts the code, and so does
   * completing it in any other way before the code has ended, such as by {@code orTimeout}.
   */
  public CompletableFuture<ExecResult> runAsync(String code) {
    return runAsync(code, ExecOptions.python());
  }

  /** {@link #run(String, ExecOptions)} on another thread, see {@link #runAsync(String)}. */
  public CompletableFuture<ExecResult> runAsync(String code, ExecOptions options) {
    AtomicReference<@Nullable EventReader> running = new AtomicReference<>();
    AtomicBoolean isLeft = new AtomicBoolean();
    CompletableFuture<ExecResult> result =
        client.async(() -> {
          try (EventReader events = start(code, options)) {
            running.set(events);
            if (isLeft.get()) {
              throw Failures.closedMeanwhile("the call", null);
            }
            return Exec.gather(events, options);
          }
        });
    var unused =
        result.whenComplete((done, failure) -> {
          isLeft.set(true);
          EventReader left = running.get();
          if (left != null) {
            left.leave();
          }
        });
    return result;
  }

  /**
   * Runs Python, and answers its events as they happen; the last one is an {@link Event.Exit}. The
   * code is started by this call. Closing the stream before its end interrupts the code, unless it
   * is to be {@linkplain ExecOptions.Builder#detach detached}.
   */
  public Stream<Event> stream(String code) {
    return stream(code, ExecOptions.python());
  }

  /** Runs code as it is asked for, and answers its events as they happen. */
  public Stream<Event> stream(String code, Consumer<ExecOptions.Builder> options) {
    return stream(code, built(options));
  }

  /** Runs code as it is asked for, and answers its events as they happen. */
  public Stream<Event> stream(String code, ExecOptions options) {
    return start(code, options).stream();
  }

  /**
   * The same for one subscriber, which gets as many events as it asks for. The code is started when
   * it subscribes, once.
   *
   * {@snippet :
   * import dev.podflare.sdk.*;
   * import java.util.concurrent.*;
   *
   * try (Sandbox sb = Podflare.create()) {
   *   CountDownLatch end = new CountDownLatch(1);
   *   sb.publish("print(1)", ExecOptions.python())
   *       .subscribe(
   *           new Flow.Subscriber<>() {
   *             public void onSubscribe(Flow.Subscription subscription) {
   *               subscription.request(Long.MAX_VALUE);
   *             }
   *
   *             public void onNext(Event event) {
   *               System.out.println(event);
   *             }
   *
   *             public void onError(Throwable failure) {
   *               end.countDown();
   *             }
   *
   *             public void onComplete() {
   *               end.countDown();
   *             }
   *           });
   *   end.await();
   * }
   * }
   */
  public Flow.Publisher<Event> publish(String code, ExecOptions options) {
    return new EventPublisher(() -> start(code, options), client.executor());
  }

  /**
   * Runs code that nobody waits for; its output is kept. The callbacks of the options are not used.
   */
  public Exec detach(String code, ExecOptions options) {
    Map<String, @Nullable Object> fields = options.fields(code);
    fields.put("detach", true);
    return new Exec(this, json(Call.post(path("/exec"), fields)).id("exec"));
  }

  /** Runs Python that nobody waits for. */
  public Exec detach(String code) {
    return detach(code, ExecOptions.python());
  }

  /**
   * Runs a bash command beside everything else: it takes no turn, and any number of others may run.
   *
   * @throws QuotaException or {@link ConflictException}: too many run already
   */
  public Exec background(String command) {
    return background(command, ExecOptions.bash());
  }

  /** The same as it is asked for. */
  public Exec background(String command, ExecOptions options) {
    Map<String, @Nullable Object> fields = options.fields(command);
    fields.put("background", true);
    fields.put("detach", true);
    return new Exec(this, json(Call.post(path("/exec"), fields)).id("exec"));
  }

  /**
   * The exec with this id, maybe of another program.
   *
   * @throws NotFoundException there is none, or it is not kept any more
   */
  public Exec attach(String execId) {
    Exec exec = new Exec(this, Exec.requireId(execId));
    exec.info();
    return exec;
  }

  /** What has run and runs here, oldest first: the newest 32 that have ended, and all others. */
  public List<ExecInfo> execs() {
    return json(Call.get(path("/execs"))).list("execs").stream().map(ExecInfo::of).toList();
  }

  /** Stops the running code like Ctrl-C: its variables stay. Harmless when none runs. */
  public void interrupt() {
    // Never sent twice: a second one could hit the exec after the one that was meant.
    json(Call.post(path("/interrupt")));
  }

  /** Makes one live copy, see {@link #fork(int)}. */
  public Sandbox fork() {
    return fork(1).get(0);
  }

  /**
   * Makes live copies: each has every variable, file, thread and process of this one. This sandbox
   * stands still for milliseconds and goes on. Each copy lives on its own and is closed on its own.
   *
   * {@snippet :
   * import dev.podflare.sdk.*;
   *
   * try (Sandbox sb = Podflare.create()) {
   *   sb.run("x = 41");
   *   try (Sandbox child = sb.fork()) {
   *     child.run("x += 1");
   *     System.out.println(sb.diff(child).variables().orElseThrow().modified().keySet());
   *     sb.merge(child);
   *   }
   *   System.out.print(sb.run("print(x)").stdout());
   * }
   * }
   *
   * @param n how many, 1 to 100; all of them are made, or none
   * @throws CapacityException the host can't hold all of them
   */
  public List<Sandbox> fork(int n) {
    return forked(n, null);
  }

  /** The same under an idempotency key: again under this key, it answers the same children. */
  public List<Sandbox> fork(int n, String idempotencyKey) {
    return forked(n, idempotencyKey);
  }

  /** {@link #fork(int)} on another thread. */
  public CompletableFuture<List<Sandbox>> forkAsync(int n) {
    return client.async(() -> fork(n));
  }

  /** This sandbox and all that it shares an ancestor with, the dead too, oldest first. */
  public List<Relative> family() {
    return json(Call.get(path("/family"))).list("sandboxes").stream().map(Relative::of).toList();
  }

  /** What differs in files and variables, seen from this sandbox to the other one. */
  public Difference diff(Sandbox other) {
    return diff(other.id(), DiffOptions.defaults());
  }

  /** What differs, seen from this sandbox to the one with this id. */
  public Difference diff(String otherId, DiffOptions options) {
    return Difference.of(json(Call.get(path("/diff/" + Url.part(otherId)) + options.query())));
  }

  /**
   * Makes this sandbox become the winner, whole: its id and this object drive the winner's machine,
   * what it was before is gone, and the winner's id too, whose {@code close()} then does nothing.
   * Other forks stay as they are.
   *
   * @throws ConflictException the two are of different families, or one is lost
   */
  public void merge(Sandbox winner) {
    merge(winner.id());
    winner.isClosed = true;
  }

  /** The same for a winner that is known by its id. */
  public void merge(String winnerId) {
    // Never sent twice: after a swap the winner's id is gone. Patient: it waits for code that runs.
    json(Call.post(path("/merge_into/" + Url.part(winnerId))).waiting());
  }

  /**
   * Changes the files here that the winner has changed since the fork; the winner stays. All of it
   * or nothing.
   *
   * @throws MergeConflictException both sides changed a file, and the options name no side
   */
  public MergeReport mergeFiles(Sandbox winner, MergeOptions options) {
    return mergeFiles(winner.id(), options);
  }

  /** The same for a winner that is known by its id. */
  public MergeReport mergeFiles(String winnerId, MergeOptions options) {
    String target = path("/merge_into/" + Url.part(winnerId));
    return MergeReport.of(json(Call.post(target, options.fields()).waiting()));
  }

  /** Creates or replaces a file with these bytes; answers how many they are. */
  public long upload(String path, byte[] bytes) {
    return files.write(path, bytes);
  }

  /**
   * Creates or replaces a file with this text in UTF-8; answers how many bytes that is.
   *
   * @throws IllegalArgumentException the text names a file of this machine, or is a path next to
   *     the name of one, so that the file is likely meant, see {@link #uploadFrom}; one that is a
   *     text all the same goes as bytes
   */
  public long upload(String path, String text) {
    LocalFiles.requireText(path, text);
    return files.write(path, text);
  }

  /** Copies a local file or folder under its own name into {@code /root}. */
  public long uploadFrom(Path local) {
    return uploadFrom(local, "/root/");
  }

  /**
   * Copies a local file, or a folder with all that is in it, here; with its permissions, where the
   * local file system has them.
   *
   * @param path where it goes; if this ends with a slash, under its own name into this directory
   * @return how many bytes were copied
   */
  public long uploadFrom(Path local, String path) {
    return LocalFiles.under(local, path).stream()
        .mapToLong(file -> files.write(file.target(), file.source(), file.mode()))
        .sum();
  }

  /** Copies a local file here, piece by piece. */
  public long upload(String path, Path local) {
    return files.write(path, local);
  }

  /** Creates or replaces a file with all that the stream has; it is not closed. */
  public long upload(String path, InputStream bytes) {
    return files.write(path, bytes);
  }

  /** A whole file. */
  public byte[] download(String path) {
    return files.read(path);
  }

  /** Copies a file to a local one, which is the old one or the whole new one. */
  public long download(String path, Path local) {
    return files.read(path, local);
  }

  /** Copies a file to a stream, which is not closed. */
  public long download(String path, OutputStream target) {
    return files.read(path, target);
  }

  /**
   * Writes memory, disk and processes to the server's disk, and ends the sandbox, once its code has
   * ended. Its id is gone then; {@link Space#resume} wakes it under a new one.
   */
  public Space freeze() {
    Space space = new Space(client, json(Call.post(path("/freeze")).waiting()).id("space"));
    isClosed = true;
    return space;
  }

  /** Destroys the sandbox, with all that runs in it. Closing it again does nothing. */
  @Override
  public void close() {
    if (!isClosed) {
      json(Call.delete(path("")));
      isClosed = true;
    }
  }

  @Override
  public String toString() {
    return "Sandbox[" + id + "]";
  }

  Client client() {
    return client;
  }

  String path(String rest) {
    return Call.sandbox(id, rest);
  }

  Fields json(Call call) {
    return client.transport().json(call.traced(traceparent));
  }

  Answer open(Call call) {
    return client.transport().open(call.traced(traceparent));
  }

  @Nullable String traceparent() {
    return traceparent;
  }

  private EventReader start(String code, ExecOptions options) {
    Answer answer = open(Call.post(path("/exec"), options.fields(code)).waiting());
    Exec exec = answer.header(Transport.EXEC_ID).map(id -> new Exec(this, id)).orElse(null);
    return new EventReader(client.transport(), answer, 0, exec, !options.detach());
  }

  private List<Sandbox> forked(int n, @Nullable String idempotencyKey) {
    Call call = Call.post(path("/fork"), Map.of("n", n)).keyed(idempotencyKey);
    List<String> ids = json(call).texts("children");
    if (ids.isEmpty()) {
      throw Failures.badAnswer("the server's answer to a fork has no children", null);
    }
    return ids.stream().map(child -> new Sandbox(client, child, traceparent)).toList();
  }

  private static ExecOptions built(Consumer<ExecOptions.Builder> options) {
    ExecOptions.Builder builder = ExecOptions.builder();
    options.accept(builder);
    return builder.build();
  }
}
