package dev.podflare.guest;

import dev.podflare.guest.AgentJson.Properties;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.time.Instant;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * The host's end of the channel to the agent of one microVM (docs/agent-protocol.md).
 *
 * <p><b>Threads.</b> Two virtual threads belong to a connection. One reads the channel and sorts
 * frames into streams; it never waits for anything else, so one reader that dawdles holds up
 * nobody. One writes what is queued; see {@link Outbox} for why callers don't. Everybody else only
 * ever waits on a stream of their own.
 *
 * <p><b>Trust.</b> There is none. Lengths are checked before memory is taken, every queue is
 * bounded, JSON is read token by token, and it is read by the thread that asked for it. The first
 * thing that no honest agent would do ends the connection for good: {@link #lost} says so, and
 * whoever owns the microVM stops it.
 *
 * <p><b>No wait lasts for ever.</b> Losing the guest ends every wait at once. A guest that is alive
 * but silent ends calls with {@link GuestSilentException} once it has made no progress for as long
 * as the connection's patience. Only running code may be silent as long as it likes.
 *
 * <p>All methods are safe for use by many threads, and block; call them on virtual threads.
 */
public final class AgentConnection implements AutoCloseable {

  /** How long a guest may be silent in all but running code, unless said otherwise. */
  public static final Duration DEFAULT_PATIENCE = Duration.ofSeconds(60);

  /** How long a guest that can't be written to is still read. */
  private static final Duration LAST_WORDS = Duration.ofSeconds(1);

  /** The code by which the agent says that there is nothing to rejoin. */
  private static final String NOTHING_RUNS = "not_running";

  private final SocketChannel channel;
  private final Duration patience;
  private final @Nullable Resync resync;
  private final CompletableFuture<Void> resynced = new CompletableFuture<>();
  private final AtomicReference<@Nullable ResyncToken> token = new AtomicReference<>();
  private final Outbox outbox = new Outbox();
  private final ConcurrentHashMap<Integer, AgentStream> streams = new ConcurrentHashMap<>();
  private final AtomicInteger open = new AtomicInteger();
  private final AtomicInteger lastStream = new AtomicInteger();
  private final AtomicReference<@Nullable GuestLoss> loss = new AtomicReference<>();
  private final CompletableFuture<GuestLoss> lost = new CompletableFuture<>();
  private final CompletableFuture<Hello> hello = new CompletableFuture<>();

  private AgentConnection(SocketChannel channel, Duration patience, @Nullable Resync resync) {
    this.channel = channel;
    this.patience = patience;
    this.resync = resync;
  }

  /**
   * Speaks over a channel, with {@link #DEFAULT_PATIENCE}.
   *
   * @param channel connected and blocking; it belongs to the connection from now on
   */
  public static AgentConnection over(SocketChannel channel) {
    return over(channel, DEFAULT_PATIENCE);
  }

  /**
   * Speaks over a channel.
   *
   * @param channel connected and blocking; it belongs to the connection from now on
   * @param patience how long a guest may be silent in all but running code
   */
  public static AgentConnection over(SocketChannel channel, Duration patience) {
    return begin(channel, patience, null);
  }

  private static AgentConnection begin(
      SocketChannel channel, Duration patience, @Nullable Resync resync) {
    if (!channel.isBlocking()) {
      throw new IllegalArgumentException("the channel must be blocking");
    }
    var connection = new AgentConnection(channel, patience, resync);
    Thread.ofVirtual().name("agent-reader").start(connection::readAll);
    Thread.ofVirtual().name("agent-writer").start(connection::writeAll);
    return connection;
  }

  /**
   * Speaks over the channel of a machine that has been spoken to before: a clone, or one whose host
   * has died. Either side may have been cut off in the middle of a frame; this makes both begin
   * anew. What ran goes on, see {@link #rejoin}.
   *
   * @param channel connected and blocking; it belongs to the connection from now on, and is closed
   *     if this fails
   * @param token what the machine, or the one that it was cut from, said in its {@link Hello}
   * @param patience how long the guest may take to answer, and from then on may be silent in all
   *     but running code
   * @throws GuestSilentException if it does not answer
   * @throws GuestLostException if the channel ends, or something else answers
   */
  public static AgentConnection resume(SocketChannel channel, ResyncToken token, Duration patience)
      throws GuestException, InterruptedException {
    var connection = begin(channel, patience, new Resync(token));
    connection.token.set(token);
    boolean resumed = false;
    try {
      connection.awaitResync();
      resumed = true;
      return connection;
    } finally {
      if (!resumed) {
        connection.close();
      }
    }
  }

  // ---- calls ----

  /**
   * Waits until the agent has booted. Only an agent that boots says so: a clone never does.
   *
   * @throws GuestSilentException if it has not booted in this time
   */
  public Hello awaitHello(Duration longest) throws GuestException, InterruptedException {
    try {
      return hello.get(Deadline.in(longest).remainingNanos(), TimeUnit.NANOSECONDS);
    } catch (TimeoutException late) {
      throw new GuestSilentException(
          "The agent in the microVM has not reported for duty within "
              + longest.toSeconds()
              + " s.");
    } catch (ExecutionException guestLost) {
      throw lostException();
    }
  }

  private void awaitResync() throws GuestException, InterruptedException {
    try {
      var _ = resynced.get(Deadline.in(patience).remainingNanos(), TimeUnit.NANOSECONDS);
    } catch (TimeoutException late) {
      throw new GuestSilentException(
          "The agent in the microVM has not answered within " + patience.toMillis() + " ms.");
    } catch (ExecutionException guestLost) {
      throw lostException();
    }
  }

  /**
   * Makes a clone a machine of its own. Returns once it has confirmed that it is.
   *
   * @throws GuestSilentException if it has not done so in this time
   */
  public Woken wake(Wake wake, Duration longest) throws GuestException, InterruptedException {
    Piece closed =
        call(
            Operation.WAKE,
            json -> {
              json.writeStringProperty("entropy", wake.entropy().base64());
              json.writeNumberProperty("time_ns", nanosSinceEpoch(wake.time()));
              AgentJson.writeText(json, "hostname", wake.hostname());
              AgentJson.writeTexts(json, "env", wake.env());
              json.writeNumberProperty("generation", wake.generation());
              json.writeStringProperty("mac", wake.mac());
              json.writeBooleanProperty("severed", wake.severed());
              json.writeBooleanProperty("rehearsed", wake.rehearsed());
            },
            longest);
    try {
      Woken woken = Closing.woken(closed);
      if (woken.generation() != wake.generation()) {
        throw new ProtocolViolation("it woke to another generation than it was told");
      }
      return woken;
    } catch (ProtocolViolation violation) {
      throw violated(violation);
    }
  }

  /**
   * The execs of before the {@link #resume} that still run, without those in the background, as
   * one: without output, ended when the last of them has ended, and stopped together by {@link
   * GuestExec#cancel}.
   *
   * @return empty if none runs
   */
  public Optional<GuestExec> rejoin() throws GuestException, InterruptedException {
    return rejoin(json -> {});
  }

  /**
   * The same for one exec alone, in the background or not.
   *
   * @param number its {@link GuestExec#number}
   * @return empty if it does not run
   */
  public Optional<GuestExec> rejoin(int number) throws GuestException, InterruptedException {
    return rejoin(json -> json.writeNumberProperty("exec", number));
  }

  private Optional<GuestExec> rejoin(Properties which) throws GuestException, InterruptedException {
    AgentStream stream = open(Operation.REJOIN, which, Deadline.in(patience));
    boolean rejoined = false;
    try {
      // A refusal comes at once, and so before the answer to what is asked next.
      ping(patience);
      Piece closed = stream.take(Deadline.in(Duration.ZERO));
      if (closed != null) {
        Closing.exec(closed);
      }
      rejoined = true;
      return Optional.of(new GuestExec(this, stream));
    } catch (GuestRefusedException refused) {
      if (refused.code().equals(NOTHING_RUNS)) {
        return Optional.empty();
      }
      throw refused;
    } catch (ProtocolViolation violation) {
      throw violated(violation);
    } finally {
      if (!rejoined) {
        stream.leave();
      }
    }
  }

  private static long nanosSinceEpoch(Instant time) {
    return Math.addExact(Math.multiplyExact(time.getEpochSecond(), 1_000_000_000L), time.getNano());
  }

  /**
   * Runs code. Returns once the code is on its way to the guest.
   *
   * <p>A guest runs one piece of Python at a time, and refuses a second one; the caller queues.
   */
  public GuestExec exec(ExecCall call) throws GuestException, InterruptedException {
    AgentStream stream =
        open(
            Operation.EXEC,
            json -> {
              json.writeStringProperty("language", call.language().word());
              AgentJson.writeText(json, "code", call.code());
              AgentJson.writeTexts(json, "env", call.env());
              if (call.cwd().isPresent()) {
                AgentJson.writeText(json, "cwd", call.cwd().get());
              } else {
                json.writeNullProperty("cwd");
              }
              if (call.background()) {
                json.writeBooleanProperty("background", true);
              }
              if (call.unseen()) {
                json.writeBooleanProperty("unseen", true);
              }
              if (call.time().isPresent()) {
                json.writeNumberProperty("time_ns", nanosSinceEpoch(call.time().get()));
              }
            },
            Deadline.in(patience));
    return new GuestExec(this, stream);
  }

  /**
   * Stores a file, whole or not at all.
   *
   * @param path in the guest: absolute, relative to {@code /root}, or from {@code ~}
   * @param mode permission bits, 0 to 07777; empty keeps those of a file that is replaced
   * @param source read to its end, but not closed
   * @return the number of bytes stored
   * @throws GuestException if the guest did not store it
   * @throws IOException if the source failed; nothing is stored then
   */
  public long put(String path, OptionalInt mode, InputStream source)
      throws IOException, InterruptedException {
    AgentStream stream =
        open(
            Operation.PUT,
            json -> {
              AgentJson.writeText(json, "path", path);
              if (mode.isPresent()) {
                json.writeNumberProperty("mode", mode.getAsInt());
              } else {
                json.writeNullProperty("mode");
              }
            },
            Deadline.in(patience));
    try {
      return new Upload(stream, patience).send(source);
    } catch (ProtocolViolation violation) {
      throw violated(violation);
    } finally {
      stream.leave();
    }
  }

  /**
   * Opens a regular file for reading.
   *
   * @param path in the guest: absolute, relative to {@code /root}, or from {@code ~}
   */
  public GuestFile get(String path) throws GuestException, InterruptedException {
    // Both questions travel together, so that the size costs no second round trip.
    AgentStream stat =
        open(
            Operation.STAT, json -> AgentJson.writeText(json, "path", path), Deadline.in(patience));
    try {
      AgentStream stream =
          open(
              Operation.GET,
              json -> {
                AgentJson.writeText(json, "path", path);
                json.writeBooleanProperty("holes", true);
              },
              Deadline.in(patience));
      var download = new Download(this, stream, patience);
      boolean begun = false;
      try {
        var file = new GuestFile(download.begin(sizeOf(stat)), download);
        begun = true;
        return file;
      } finally {
        if (!begun) {
          download.close();
        }
      }
    } finally {
      stat.leave();
    }
  }

  /**
   * The size of a regular file. 0 of one that doesn't know, as those of {@code /proc}; of a
   * symbolic link, whose own size is another matter; and of what is refused, for then opening it
   * will be too.
   */
  private long sizeOf(AgentStream stat) throws GuestException, InterruptedException {
    Piece closed = stat.take(Deadline.in(patience));
    if (closed == null) {
      throw silent(Operation.STAT, patience);
    }
    try {
      GuestEntry entry = Closing.entry(closed);
      return entry.type() == GuestEntry.Type.FILE ? entry.size() : 0;
    } catch (GuestRefusedException refused) {
      return 0;
    } catch (ProtocolViolation violation) {
      throw violated(violation);
    }
  }

  /** Lists a directory. */
  public GuestListing list(String path) throws GuestException, InterruptedException {
    Piece closed = call(Operation.LIST, json -> AgentJson.writeText(json, "path", path), patience);
    try {
      return Closing.listing(closed);
    } catch (ProtocolViolation violation) {
      throw violated(violation);
    }
  }

  /** Describes a file or directory. */
  public GuestEntry stat(String path) throws GuestException, InterruptedException {
    Piece closed = call(Operation.STAT, json -> AgentJson.writeText(json, "path", path), patience);
    try {
      return Closing.entry(closed);
    } catch (ProtocolViolation violation) {
      throw violated(violation);
    }
  }

  /** Removes a file, or a directory if it is empty or {@code recursive}. */
  public void remove(String path, boolean recursive) throws GuestException, InterruptedException {
    Piece closed =
        call(
            Operation.REMOVE,
            json -> {
              AgentJson.writeText(json, "path", path);
              json.writeBooleanProperty("recursive", recursive);
            },
            patience);
    done(closed);
  }

  // ---- terminals ----

  /** Starts a program on a terminal of its own. Returns once it has started. */
  public GuestTerminal terminal(TerminalCall call) throws GuestException, InterruptedException {
    return terminal(json -> {
      AgentJson.writeText(json, "name", call.name());
      AgentJson.writeText(json, "cmd", call.cmd());
      json.writeNumberProperty("cols", call.cols());
      json.writeNumberProperty("rows", call.rows());
      if (call.cwd().isPresent()) {
        AgentJson.writeText(json, "cwd", call.cwd().get());
      } else {
        json.writeNullProperty("cwd");
      }
      json.writeNumberProperty("created_ms", call.created().toEpochMilli());
    });
  }

  /** The terminals of before the {@link #resume} that have not been taken over. */
  public List<GuestTerminalInfo> terminals() throws GuestException, InterruptedException {
    Piece closed = call(Operation.PTYS, json -> {}, patience);
    try {
      return Closing.terminals(closed);
    } catch (ProtocolViolation violation) {
      throw violated(violation);
    }
  }

  /**
   * In how many terminals something runs but a shell that waits at its prompt.
   *
   * @throws GuestSilentException if there is no answer in this time
   */
  public int busyTerminals(Duration longest) throws GuestException, InterruptedException {
    Piece closed = call(Operation.FOREGROUND, json -> {}, longest);
    try {
      return Closing.busy(closed);
    } catch (ProtocolViolation violation) {
      throw violated(violation);
    }
  }

  /** Takes over a terminal of before. Its output goes on from where the host began anew. */
  public GuestTerminal rejoin(GuestTerminalInfo terminal)
      throws GuestException, InterruptedException {
    return terminal(json -> json.writeNumberProperty("rejoin", terminal.stream()));
  }

  private GuestTerminal terminal(Properties arguments) throws GuestException, InterruptedException {
    Deadline deadline = Deadline.in(patience);
    AgentStream stream = open(Operation.PTY, arguments, deadline);
    boolean started = false;
    try {
      Piece first = stream.awaitStarted(deadline);
      if (first == null) {
        throw silent(Operation.PTY, patience);
      }
      if (first.kind() == FrameKind.CLOSED) {
        Closing.done(first);
        throw new ProtocolViolation("it closed a terminal that it had not started");
      }
      var terminal = new GuestTerminal(this, stream, Closing.pid(first));
      started = true;
      return terminal;
    } catch (ProtocolViolation violation) {
      throw violated(violation);
    } finally {
      if (!started) {
        stream.leave();
      }
    }
  }

  // ---- comparing and merging ----

  /**
   * What the guest's writable layer holds at and below some paths.
   *
   * @param paths 1 to 64 absolute paths; no symbolic link in them is followed
   */
  public GuestChanges changes(List<String> paths) throws GuestException, InterruptedException {
    try (Exchange exchange =
        exchange(Operation.CHANGES, json -> AgentJson.writeTexts(json, "paths", paths))) {
      List<GuestChange> told = exchange.answer(Answers::changes);
      return Closing.changes(exchange.closed(), told);
    } catch (ProtocolViolation violation) {
      throw violated(violation);
    }
  }

  /** What is at some paths, of those where there is anything. Follows no symbolic link. */
  public Map<String, GuestNode> nodes(Collection<String> paths)
      throws GuestException, InterruptedException {
    return ask(Operation.NODES, paths, records -> Answers.nodes(paths, records));
  }

  /** Digests of the content of some files, of those that are regular files. */
  public Map<String, String> digests(Collection<String> paths)
      throws GuestException, InterruptedException {
    return ask(Operation.DIGESTS, paths, records -> Answers.digests(paths, records));
  }

  /**
   * When some files were made, in nanoseconds since 1970 by the guest's clock, of those that know
   * it.
   */
  public Map<String, Long> births(Collection<String> paths)
      throws GuestException, InterruptedException {
    return ask(Operation.BIRTHS, paths, records -> Answers.births(paths, records));
  }

  private <T> T ask(Operation operation, Collection<String> paths, Exchange.Reading<T> reading)
      throws GuestException, InterruptedException {
    try (Exchange exchange = exchange(operation, json -> {})) {
      return exchange.about(paths).answer(reading);
    }
  }

  /**
   * The globals of the user's Python, without a trace of having looked. The guest refuses as busy
   * while Python code runs.
   */
  public GuestVariables variables() throws GuestException, InterruptedException {
    try (Exchange exchange = exchange(Operation.VARIABLES, json -> {})) {
      return exchange.answer(Answers::variables);
    }
  }

  /** Reads files, directories and symbolic links, each by itself. */
  public GuestArchive pack(Collection<String> paths) throws GuestException, InterruptedException {
    Exchange exchange = exchange(Operation.PACK, json -> {});
    boolean asked = false;
    try {
      var archive = new GuestArchive(exchange.about(paths), paths);
      asked = true;
      return archive;
    } finally {
      if (!asked) {
        exchange.close();
      }
    }
  }

  /**
   * Puts files in their places and removes others. Until all have arrived, nothing is changed.
   *
   * <p>A directory that is to be removed and holds something else stays.
   *
   * @param archive read to its end, but not closed
   * @param removals absolute paths
   * @throws IOException also if the archive fails; nothing is changed then
   */
  public void unpack(GuestArchive archive, Collection<String> removals)
      throws IOException, InterruptedException {
    AgentStream stream = open(Operation.UNPACK, json -> {}, Deadline.in(patience));
    try {
      var _ = new Upload(stream, patience).send(new ArchiveSource(removals, archive));
    } catch (ProtocolViolation violation) {
      throw violated(violation);
    } finally {
      stream.leave();
    }
  }

  private Exchange exchange(Operation operation, Properties arguments)
      throws GuestException, InterruptedException {
    return new Exchange(this, open(operation, arguments, Deadline.in(patience)), patience);
  }

  /**
   * Asks for a sign of life.
   *
   * @throws GuestSilentException if there is none in this time
   */
  public void ping(Duration longest) throws GuestException, InterruptedException {
    done(call(Operation.PING, json -> {}, longest));
  }

  private void done(Piece closed) throws GuestException {
    try {
      Closing.done(closed);
    } catch (ProtocolViolation violation) {
      throw violated(violation);
    }
  }

  /** An operation that is but a question and its answer. */
  private Piece call(Operation operation, Properties arguments, Duration longest)
      throws GuestException, InterruptedException {
    Deadline deadline = Deadline.in(longest);
    AgentStream stream = open(operation, arguments, deadline);
    try {
      Piece closed = stream.take(deadline);
      if (closed == null) {
        throw silent(operation, longest);
      }
      return closed;
    } finally {
      stream.leave();
    }
  }

  private AgentStream open(Operation operation, Properties arguments, Deadline deadline)
      throws GuestException, InterruptedException {
    byte[] payload =
        AgentJson.object(json -> {
          json.writeStringProperty("op", operation.word());
          arguments.writeTo(json);
        });
    if (open.incrementAndGet() > Limits.STREAMS) {
      open.decrementAndGet();
      throw new GuestRefusedException(
          GuestRefusedException.BUSY,
          "The sandbox has %d operations going on, as many as it may.".formatted(Limits.STREAMS));
    }
    var stream = new AgentStream(nextStream(), operation, outbox);
    streams.put(stream.number(), stream);
    boolean sent = false;
    try {
      // Asked after the stream can be found, so that a loss from now on finds it.
      if (loss.get() != null) {
        throw lostException();
      }
      sent = stream.send(FrameKind.OPEN, payload, payload.length, deadline);
    } finally {
      if (!sent) {
        forget(stream);
      }
    }
    if (!sent) {
      throw silent(operation, patience);
    }
    return stream;
  }

  private int nextStream() {
    return lastStream.updateAndGet(last -> ResyncToken.mayBeginIn(last + 1) ? last + 2 : last + 1);
  }

  private void forget(AgentStream stream) {
    if (streams.remove(stream.number(), stream)) {
      open.decrementAndGet();
    }
  }

  private static GuestSilentException silent(Operation operation, Duration waited) {
    return new GuestSilentException(
        "The sandbox has not answered '%s' within %d ms."
            .formatted(operation.word(), waited.toMillis()));
  }

  // ---- the two threads ----

  private void readAll() {
    try (Arena arena = Arena.ofConfined()) {
      var reader = new FrameReader(channel, directBuffer(arena));
      if (resync != null) {
        lastStream.set(resync.readAnswer(reader));
        resynced.complete(null);
      }
      for (Frame frame = reader.next(); frame != null; frame = reader.next()) {
        dispatch(frame);
      }
      lose(GuestLoss.Kind.ENDED, "The microVM's agent has ended the connection.", null);
    } catch (ProtocolViolation violation) {
      violated(violation);
    } catch (IOException failed) {
      lose(GuestLoss.Kind.ENDED, "The connection to the microVM's agent broke.", failed);
    } catch (RuntimeException | Error defect) {
      lose(GuestLoss.Kind.ENDED, "The host failed to read what the microVM's agent sent.", defect);
      throw defect;
    }
  }

  private void dispatch(Frame frame) throws ProtocolViolation {
    if (frame.kind() == FrameKind.HELLO) {
      greet(frame);
      return;
    }
    AgentStream stream = streams.get(frame.stream());
    if (stream == null) {
      boolean wasOpen = frame.stream() > 0 && frame.stream() <= lastStream.get();
      throw new ProtocolViolation(
          "it sent %s on a stream that %s"
              .formatted(frame.kind(), wasOpen ? "is closed" : "was never opened"));
    }
    stream.accept(frame);
    if (frame.kind() == FrameKind.CLOSED) {
      forget(stream);
    }
  }

  private void greet(Frame frame) throws ProtocolViolation {
    if (frame.stream() != 0) {
      throw new ProtocolViolation("it sent HELLO on a stream");
    }
    long[] protocol = {0};
    String[] python = {""};
    ResyncToken[] said = new ResyncToken[1];
    AgentJson.readObject(
        frame.payload(),
        frame.length(),
        (name, value) -> {
          switch (name) {
            case "protocol" -> protocol[0] = AgentJson.number(name, value, 0, Integer.MAX_VALUE);
            case "python" -> python[0] = GuestText.sentence(AgentJson.text(name, value));
            case "resync" -> said[0] = resyncToken(AgentJson.text(name, value));
            default -> {}
          }
        });
    if (protocol[0] != Hello.PROTOCOL) {
      throw new ProtocolViolation(
          "it speaks version %d, and this host speaks %d".formatted(protocol[0], Hello.PROTOCOL));
    }
    if (said[0] == null) {
      throw new ProtocolViolation("it sent HELLO without a resync token");
    }
    if (!hello.complete(new Hello((int) protocol[0], python[0], said[0]))) {
      throw new ProtocolViolation("it sent HELLO twice");
    }
    token.set(said[0]);
  }

  private static ResyncToken resyncToken(String hex) throws ProtocolViolation {
    try {
      return ResyncToken.parse(hex);
    } catch (IllegalArgumentException malformed) {
      throw new ProtocolViolation("its resync token is malformed", malformed);
    }
  }

  private void writeAll() {
    try (Arena arena = Arena.ofConfined()) {
      var writer = new FrameWriter(channel, directBuffer(arena), token::get);
      if (resync != null) {
        writer.write(resync);
      }
      outbox.writeTo(writer);
    } catch (IOException failed) {
      outbox.close();
      awaitLastWords();
      lose(GuestLoss.Kind.ENDED, "The connection to the microVM's agent broke.", failed);
    } catch (InterruptedException | RuntimeException | Error defect) {
      lose(GuestLoss.Kind.ENDED, "The host failed to write to the microVM's agent.", defect);
    }
  }

  /**
   * Leaves the reader some time to find the end by itself: who can't be written to any more has
   * often said something before, and that is still on its way.
   */
  private void awaitLastWords() {
    try {
      lost.get(LAST_WORDS.toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException | ExecutionException | InterruptedException stillTalking) {
      // Then it ends here.
    }
  }

  /** Memory that is given back when its thread ends, and doesn't wait for the collector. */
  private static ByteBuffer directBuffer(Arena arena) {
    return arena.allocate(Limits.BLOCK).asByteBuffer();
  }

  // ---- the end ----

  /**
   * Completes when the guest can't be spoken to any more, whatever the reason, {@link #close}
   * included. What depends on it runs on a thread of its own.
   */
  public CompletableFuture<GuestLoss> lost() {
    return lost.copy();
  }

  /** Whether it can't be spoken to any more: known before anybody hears it who waits for it. */
  public boolean isLost() {
    return loss.get() != null;
  }

  /** Ends the connection because of what the guest did, and says so. */
  GuestLostException violated(ProtocolViolation violation) {
    lose(
        GuestLoss.Kind.VIOLATION,
        "The guest broke the agent protocol: " + violation.what() + ".",
        violation.getCause());
    return lostException();
  }

  private GuestLostException lostException() {
    return new GuestLostException(Objects.requireNonNull(loss.get()));
  }

  private void lose(GuestLoss.Kind kind, String sentence, @Nullable Throwable cause) {
    var how = new GuestLoss(kind, sentence, Optional.ofNullable(cause));
    if (!loss.compareAndSet(null, how)) {
      return;
    }
    outbox.close();
    closeChannel();
    for (Map.Entry<Integer, AgentStream> entry : streams.entrySet()) {
      entry.getValue().lose(how);
    }
    streams.clear();
    resynced.completeExceptionally(new GuestLostException(how));
    hello.completeExceptionally(new GuestLostException(how));
    Thread.ofVirtual().name("agent-lost").start(() -> lost.complete(how));
  }

  private void closeChannel() {
    try {
      channel.close();
    } catch (IOException alreadyBroken) {
      // Nothing is read from it or written to it again, and its descriptor is gone either way.
    }
  }

  /** Ends the connection. Whoever still waits for the guest learns that it is lost. */
  @Override
  public void close() {
    lose(GuestLoss.Kind.CLOSED_BY_HOST, "The host has closed the connection to the microVM.", null);
  }
}
