package dev.podflare.engine.qemu;

import dev.podflare.engine.EngineException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * A connection to QEMU's control socket, as QEMU's "QMP reference manual" describes it.
 *
 * <p>One virtual thread reads; answers find their callers by id; events go to one listener on the
 * reader's thread, which therefore must not call back into this class. When the connection ends,
 * every caller that waits gets {@link EngineException.Kind#GONE}.
 *
 * <p>A monitor that a guest has taken over may send anything: a line is bounded, and what is not
 * understood ends the connection.
 */
final class Qmp implements AutoCloseable {

  /** Longer than any answer to the commands used here; the console ring buffer is the largest. */
  private static final int LONGEST_LINE = 1 << 20;

  private static final Duration PATIENCE = Duration.ofSeconds(30);
  private static final JsonMapper JSON = JsonMapper.shared();

  private final SocketChannel channel;
  private final Consumer<Event> listener;
  private final Map<Long, CompletableFuture<JsonNode>> waiting = new ConcurrentHashMap<>();
  private final AtomicLong nextId = new AtomicLong(1);
  private final ReentrantLock writing = new ReentrantLock();
  private final CompletableFuture<Void> greeted = new CompletableFuture<>();
  private final CompletableFuture<Void> ended = new CompletableFuture<>();

  /**
   * Something that QEMU tells unasked.
   *
   * @param name such as {@code SHUTDOWN}
   */
  record Event(String name, JsonNode data) {}

  private Qmp(SocketChannel channel, Consumer<Event> listener) {
    this.channel = channel;
    this.listener = listener;
  }

  /** Connects to a socket that listens already, and waits until QEMU is ready for commands. */
  static Qmp connect(Path socket, Consumer<Event> listener) throws EngineException {
    try {
      SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
      channel.connect(UnixDomainSocketAddress.of(socket));
      Qmp qmp = new Qmp(channel, listener);
      Thread.ofVirtual().name("qmp " + socket).start(qmp::read);
      try {
        await(qmp.greeted, "greeting");
        qmp.execute("qmp_capabilities", Map.of());
        return qmp;
      } catch (EngineException e) {
        qmp.close();
        throw e;
      }
    } catch (IOException e) {
      throw new EngineException(
          EngineException.Kind.FAILED, "QEMU's control socket can't be reached", e);
    }
  }

  /** Goes on in a session that a child of a monitor has taken over from its parent. */
  static Qmp inSession(SocketChannel channel, Consumer<Event> listener) {
    Qmp qmp = new Qmp(channel, listener);
    qmp.greeted.complete(null);
    Thread.ofVirtual().name("qmp").start(qmp::read);
    return qmp;
  }

  /** A command with its arguments. */
  record Call(String command, Map<String, ?> arguments) {}

  /**
   * Runs one command and waits for its answer.
   *
   * @throws EngineException if QEMU refuses it, does not answer in 30 seconds, or has ended
   */
  JsonNode execute(String command, Map<String, ?> arguments) throws EngineException {
    return execute(new Call(command, arguments));
  }

  /** As {@link #execute(String, Map)}. */
  JsonNode execute(Call call) throws EngineException {
    return executeAll(List.of(call)).getFirst();
  }

  /**
   * Runs commands one after the other, without waiting for each before the next is sent.
   *
   * @return their answers
   * @throws EngineException as {@link #execute(String, Map)}, for the first that fails; those after
   *     it may have been run
   */
  List<JsonNode> executeAll(List<Call> calls) throws EngineException {
    try (Sent sent = send(calls)) {
      List<JsonNode> answers = new ArrayList<>();
      for (Call _ : calls) {
        answers.add(sent.next());
      }
      return answers;
    }
  }

  /**
   * Has commands run one after the other, and waits for none.
   *
   * @throws EngineException if QEMU has ended
   */
  Sent send(List<Call> calls) throws EngineException {
    Sent sent = new Sent(calls);
    try {
      sent.write();
      return sent;
    } catch (EngineException e) {
      sent.close();
      throw e;
    }
  }

  /**
   * Commands that are on their way. Used by one thread; to close it is to give up the answers that
   * were not asked for, and not the commands.
   */
  final class Sent implements AutoCloseable {
    private final List<Pending> all;
    private final Iterator<Pending> left;

    private Sent(List<Call> calls) {
      this.all =
          calls.stream()
              .map(call -> new Pending(nextId.getAndIncrement(), call, new CompletableFuture<>()))
              .toList();
      this.left = all.iterator();
      all.forEach(one -> waiting.put(one.id, one.answer));
    }

    private void write() throws EngineException {
      String first = all.getFirst().command();
      if (ended.isDone()) {
        throw gone(first, null);
      }
      String lines = all.stream().map(Pending::line).collect(Collectors.joining());
      Qmp.this.write(first, ByteBuffer.wrap(lines.getBytes(StandardCharsets.UTF_8)));
    }

    /**
     * Waits for the answer to the next one of the commands.
     *
     * @throws EngineException as {@link #execute(String, Map)}
     */
    JsonNode next() throws EngineException {
      Pending next = left.next();
      return await(next.answer, next.command());
    }

    @Override
    public void close() {
      all.forEach(one -> waiting.remove(one.id));
    }
  }

  private record Pending(long id, Call call, CompletableFuture<JsonNode> answer) {

    String command() {
      return call.command();
    }

    String line() {
      return JSON.writeValueAsString(
              Map.of("execute", command(), "arguments", call.arguments(), "id", id))
          + "\n";
    }
  }

  /** Runs a command of the human monitor, and answers what it said. */
  String monitor(String command) throws EngineException {
    return execute("human-monitor-command", Map.of("command-line", command)).asString("");
  }

  private void write(String command, ByteBuffer line) throws EngineException {
    writing.lock();
    try {
      while (line.hasRemaining()) {
        channel.write(line);
      }
    } catch (IOException e) {
      throw gone(command, e);
    } finally {
      writing.unlock();
    }
  }

  private static <T> T await(CompletableFuture<T> answer, String command) throws EngineException {
    try {
      return answer.get(PATIENCE.toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException e) {
      throw new EngineException(
          EngineException.Kind.FAILED,
          "QEMU did not answer " + command + " within " + PATIENCE.toSeconds() + " s",
          e);
    } catch (ExecutionException e) {
      if (e.getCause() instanceof EngineException refused) {
        throw refused;
      }
      throw gone(command, e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new EngineException(EngineException.Kind.FAILED, command + " was interrupted", e);
    }
  }

  private static EngineException gone(
      String command, @org.jspecify.annotations.Nullable Throwable cause) {
    String message = "the microVM ended before it answered " + command;
    return cause == null
        ? new EngineException(EngineException.Kind.GONE, message)
        : new EngineException(EngineException.Kind.GONE, message, cause);
  }

  private void read() {
    Throwable why = new IOException("QEMU closed its control socket");
    try (BufferedReader lines =
        new BufferedReader(
            new InputStreamReader(Channels.newInputStream(channel), StandardCharsets.UTF_8))) {
      for (String line = readLine(lines); line != null; line = readLine(lines)) {
        take(JSON.readTree(line));
      }
    } catch (IOException | tools.jackson.core.JacksonException e) {
      why = e;
    } finally {
      end(why);
    }
  }

  private static @org.jspecify.annotations.Nullable String readLine(BufferedReader in)
      throws IOException {
    StringBuilder line = new StringBuilder();
    for (int c = in.read(); c != '\n'; c = in.read()) {
      if (c < 0) {
        return null;
      }
      if (line.length() == LONGEST_LINE) {
        throw new IOException("QEMU sent an endless line");
      }
      line.append((char) c);
    }
    return line.toString();
  }

  private void take(JsonNode message) {
    if (message.has("QMP")) {
      greeted.complete(null);
    } else if (message.has("event")) {
      listener.accept(new Event(message.path("event").asString(), message.path("data")));
    } else {
      CompletableFuture<JsonNode> answer = waiting.get(message.path("id").asLong(0));
      if (answer == null) {
        return; // Its caller has given up.
      }
      if (message.has("error")) {
        String reason = message.path("error").path("desc").asString("no reason given");
        answer.completeExceptionally(
            new EngineException(EngineException.Kind.FAILED, "QEMU refused: " + reason));
      } else {
        answer.complete(message.path("return"));
      }
    }
  }

  private void end(Throwable why) {
    ended.complete(null);
    greeted.completeExceptionally(why);
    waiting.values().forEach(answer -> answer.completeExceptionally(why));
  }

  /**
   * Waits until all is heard that QEMU said before it ended. It has ended, so that is soon; a
   * connection that somebody else holds open is not waited for.
   */
  void awaitEnd() {
    var _ = ended.copy().completeOnTimeout(null, 1, TimeUnit.SECONDS).join();
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      System.getLogger(Qmp.class.getName())
          .log(System.Logger.Level.DEBUG, "a control socket did not close cleanly", e);
    }
  }
}
