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

  private final @Nullable Consumer<byte[]> onData;
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

  TerminalFrames(@Nullable Consumer<byte[]> onData) {
    this.onData = onData;
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
    WebSocket open = socket;
    if (open != null) {
      open.abort(); // The program in the terminal runs on.
    }
    fail(
        new ConnectionException(
            Failure.of("this program has detached from the terminal")
                .code("detached")
                .hint("attach to it again by its id")));
  }

  InputStream output() {
    return new Output();
  }

  @Override
  public void onOpen(WebSocket opened) {
    socket = opened;
    opened.request(1);
  }

  @Override
  public @Nullable CompletionStage<?> onText(WebSocket open, CharSequence part, boolean isLast) {
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
    open.request(1);
    return null;
  }

  @Override
  public @Nullable CompletionStage<?> onBinary(WebSocket open, ByteBuffer data, boolean isLast) {
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
      open.request(1);
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
    open.request(1);
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
    fail(broken(Transport.why(failure), failure));
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
        open.request(1);
      }
      return count;
    }
  }
}
