package dev.podflare.sdk;

import java.io.IOException;
import java.io.InputStream;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The frames of a terminal's WebSocket, both ways. One frame is asked for at a time, and none while
 * a megabyte waits to be read, so a slow reader holds up the server and not this program's memory.
 */
final class TerminalFrames implements WebSocket.Listener {
  private static final int MOST_WAITING_BYTES = 1024 * 1024;
  private static final int LONGEST_TEXT = 64 * 1024;
  private static final int TAKEN_OVER = 4001;
  private static final Duration PING_EVERY = Duration.ofSeconds(5);

  /** The server reads nothing for 30 s when the program takes no input. */
  private static final Duration LONGEST_SILENCE = Duration.ofSeconds(45);

  private final @Nullable Consumer<byte[]> onData;
  private final Duration pingEvery;
  private final Duration longestSilence;
  private final CompletableFuture<Fields> hello = new CompletableFuture<>();
  private final CompletableFuture<TerminalExit> exit = new CompletableFuture<>();
  private volatile @Nullable WebSocket socket;
  private final ReentrantLock sending = new ReentrantLock();

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final ArrayDeque<ByteBuffer> waiting = new ArrayDeque<>();
  private int waitingBytes;
  private boolean isHeldUp;
  private boolean hasEnded;

  private final StringBuilder text = new StringBuilder();

  /** Whether a frame has been asked for; else this side is what is silent. */
  private volatile boolean listens;

  private volatile long heardAt = System.nanoTime();

  /** The last one, which may wait behind what could not be sent yet. */
  private volatile CompletableFuture<?> ping = CompletableFuture.completedFuture(null);

  TerminalFrames(@Nullable Consumer<byte[]> onData) {
    this(onData, PING_EVERY, LONGEST_SILENCE);
  }

  /** Pings so often, and takes a server that says nothing for so long for lost. */
  TerminalFrames(@Nullable Consumer<byte[]> onData, Duration pingEvery, Duration longestSilence) {
    this.onData = onData;
    this.pingEvery = pingEvery;
    this.longestSilence = longestSilence;
  }

  Fields awaitHello(String host, Duration longest) {
    try {
      return hello.get(longest.toNanos(), TimeUnit.NANOSECONDS);
    } catch (TimeoutException silent) {
      close();
      throw Failures.silent(host, longest, silent);
    } catch (InterruptedException interrupted) {
      close();
      throw Failures.interrupted("opened a terminal", interrupted);
    } catch (ExecutionException failed) {
      throw thrown(failed);
    }
  }

  TerminalExit awaitExit() {
    try {
      return exit.get();
    } catch (InterruptedException interrupted) {
      throw Failures.interrupted("waited for a terminal", interrupted);
    } catch (ExecutionException failed) {
      throw thrown(failed);
    }
  }

  Optional<TerminalExit> awaitExit(Duration longest) {
    try {
      return Optional.of(exit.get(longest.toNanos(), TimeUnit.NANOSECONDS));
    } catch (TimeoutException runsOn) {
      return Optional.empty();
    } catch (InterruptedException interrupted) {
      throw Failures.interrupted("waited for a terminal", interrupted);
    } catch (ExecutionException failed) {
      throw thrown(failed);
    }
  }

  void send(ByteBuffer bytes) {
    sent(each -> each.sendBinary(bytes, true));
  }

  void send(Map<String, ?> message) {
    String json = new String(Json.write(message), StandardCharsets.UTF_8);
    sent(each -> each.sendText(json, true));
  }

  void close() {
    fail(
        new ConnectionException(
            Failure.of("this program has detached from the terminal")
                .code("detached")
                .hint("attach to it again by its id")));
    WebSocket open = socket;
    if (open != null) {
      open.abort(); // The program in the terminal runs on.
    }
  }

  InputStream output() {
    return new Output();
  }

  @Override
  public void onOpen(WebSocket opened) {
    socket = opened;
    listen(opened);
    beatLater(opened);
  }

  /**
   * Sends a ping now and then, since a connection that breaks is not always told: the JDK's client
   * can lose the end of a WebSocket, and a host that is gone says nothing at all.
   */
  private void beat(WebSocket open) {
    if (exit.isDone()) {
      return;
    }
    // While this side reads nothing, silence is its own; and a ping to a server that has said its
    // last would have the system throw away what is still to be read.
    if (listens) {
      if (System.nanoTime() - heardAt > longestSilence.toNanos()) {
        String silence = longestSilence.toMillis() / 1000.0 + " s";
        lose(open, "the server said nothing for " + silence, null);
        return;
      }
      ping(open);
    }
    beatLater(open);
  }

  private void ping(WebSocket open) {
    if (ping.isDone()) {
      ping =
          open.sendPing(ByteBuffer.allocate(0))
              .whenComplete((sent, failure) -> {
                if (failure != null) {
                  lose(open, Transport.why(failure), failure);
                }
              });
    }
  }

  private void beatLater(WebSocket open) {
    CompletableFuture.delayedExecutor(pingEvery.toNanos(), TimeUnit.NANOSECONDS)
        .execute(() -> beat(open));
  }

  private void lose(WebSocket open, String why, @Nullable Throwable cause) {
    fail(broken(why, cause));
    open.abort();
  }

  private void listen(WebSocket open) {
    heardAt = System.nanoTime();
    listens = true;
    open.request(1);
  }

  /** A frame has come, and the next is not asked for yet. */
  private void heard() {
    listens = false;
    heardAt = System.nanoTime();
  }

  @Override
  public @Nullable CompletionStage<?> onPing(WebSocket open, ByteBuffer payload) {
    listen(open); // The JDK's client answers it.
    return null;
  }

  @Override
  public @Nullable CompletionStage<?> onPong(WebSocket open, ByteBuffer payload) {
    listen(open);
    return null;
  }

  @Override
  public @Nullable CompletionStage<?> onText(WebSocket open, CharSequence part, boolean isLast) {
    heard();
    if (text.length() + part.length() > LONGEST_TEXT) {
      fail(Failures.badAnswer("the server sent a text frame of more than 64 KiB", null));
      open.abort();
      return null;
    }
    text.append(part);
    if (isLast) {
      byte[] json = text.toString().getBytes(StandardCharsets.UTF_8);
      text.setLength(0);
      try {
        tell(new Fields(Json.read(json)));
      } catch (ServerException broken) {
        fail(broken);
        open.abort();
        return null;
      }
    }
    listen(open);
    return null;
  }

  @Override
  public @Nullable CompletionStage<?> onBinary(WebSocket open, ByteBuffer data, boolean isLast) {
    heard();
    byte[] bytes = new byte[data.remaining()];
    data.get(bytes);
    if (onData != null) {
      try {
        onData.accept(bytes);
      } catch (RuntimeException failure) {
        exit.completeExceptionally(failure); // await() throws what the callback threw.
        open.abort();
        end();
        return null;
      }
      listen(open);
      return null;
    }
    lock.lock();
    try {
      waiting.add(ByteBuffer.wrap(bytes));
      waitingBytes += bytes.length;
      isHeldUp = waitingBytes >= MOST_WAITING_BYTES;
      changed.signalAll();
      if (isHeldUp) {
        return null;
      }
    } finally {
      lock.unlock();
    }
    listen(open);
    return null;
  }

  @Override
  public @Nullable CompletionStage<?> onClose(WebSocket open, int code, String reason) {
    if (code == TAKEN_OVER) {
      fail(
          new ConflictException(
              Failure.of("somebody else has attached to this terminal")
                  .code("terminal_taken_over")
                  .hint("a terminal has one reader; attach again to take it back")));
    } else {
      String why = reason.isEmpty() ? "it was closed with code " + code : reason;
      fail(broken(why, null));
    }
    end();
    return null;
  }

  @Override
  public void onError(WebSocket open, Throwable failure) {
    // The JDK's client may stumble over an end that comes right behind a frame.
    String why = failure instanceof InternalError ? "it has ended" : Transport.why(failure);
    fail(broken(why, failure));
  }

  private void tell(Fields message) {
    if (message.has("pty")) {
      hello.complete(message);
    }
    message
        .object("exit")
        .ifPresent(end -> {
          String reason = end.text("reason");
          ExitReason otherwise = end.count("code") == 0 ? ExitReason.OK : ExitReason.ERROR;
          exit.complete(
              new TerminalExit(
                  end.count("code"), reason.isEmpty() ? otherwise : ExitReason.of(reason)));
          end();
        });
  }

  private static ConnectionException broken(String why, @Nullable Throwable cause) {
    return new ConnectionException(
        Failure.of("the connection to the terminal broke: " + why)
            .code("terminal_disconnected")
            .hint("the program in it runs on; attach to it again by its id")
            .cause(cause));
  }

  /** Ends what still waits; what is known already stays. */
  private void fail(PodflareException failure) {
    hello.completeExceptionally(failure);
    exit.completeExceptionally(failure);
    end();
  }

  private void end() {
    lock.lock();
    try {
      hasEnded = true;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  private interface Send {
    CompletableFuture<WebSocket> through(WebSocket open);
  }

  /** One message after the other: a WebSocket takes the next only when the last is out. */
  private void sent(Send send) {
    if (exit.isDone() && !exit.isCompletedExceptionally()) {
      return; // As typing into a terminal whose program has ended.
    }
    WebSocket open = socket;
    if (open == null) {
      throw new IllegalStateException("the terminal is not open");
    }
    sending.lock();
    try {
      send.through(open).join();
    } catch (CompletionException failed) {
      if (exit.isDone() && !exit.isCompletedExceptionally()) {
        return; // It has ended meanwhile.
      }
      Throwable cause = failed.getCause() == null ? failed : failed.getCause();
      throw broken(Transport.why(cause), cause);
    } finally {
      sending.unlock();
    }
  }

  private static RuntimeException thrown(ExecutionException failed) {
    Throwable cause = failed.getCause();
    if (cause instanceof PodflareException known) {
      return known;
    }
    return cause instanceof RuntimeException callback ? callback : new IllegalStateException(cause);
  }

  /** What the terminal writes, read by blocking. */
  private final class Output extends InputStream {
    @Override
    public int read() throws IOException {
      byte[] one = new byte[1];
      return read(one, 0, 1) < 0 ? -1 : one[0] & 0xFF;
    }

    @Override
    public int read(byte[] target, int offset, int length) throws IOException {
      if (length == 0) {
        return 0;
      }
      boolean letGo;
      int count;
      lock.lock();
      try {
        while (waiting.isEmpty()) {
          if (hasEnded) {
            return -1;
          }
          changed.await();
        }
        ByteBuffer first = waiting.getFirst();
        count = Math.min(length, first.remaining());
        first.get(target, offset, count);
        if (!first.hasRemaining()) {
          waiting.removeFirst();
        }
        waitingBytes -= count;
        letGo = isHeldUp && waitingBytes < MOST_WAITING_BYTES;
        isHeldUp &= !letGo;
      } catch (InterruptedException interrupted) {
        throw Failures.interrupted("read from a terminal", interrupted);
      } finally {
        lock.unlock();
      }
      WebSocket open = socket;
      if (letGo && open != null) {
        listen(open);
      }
      return count;
    }
  }
}
