package dev.podflare.mcp;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Tells the client, again and again, that a long exec still runs and what it said last. Clients
 * wait longer for a call that they hear of.
 */
final class Heartbeat implements AutoCloseable {

  private static final Duration EVERY = Duration.ofSeconds(1);

  private final CountDownLatch ended = new CountDownLatch(1);

  private Heartbeat() {}

  /** Beats until it is closed, if the client asked for it. */
  static Heartbeat of(ToolCall call, Transcript transcript) {
    Heartbeat heartbeat = new Heartbeat();
    call.watcher()
        .ifPresent(watcher ->
            Thread.ofVirtual()
                .name("mcp-progress")
                .start(() -> heartbeat.beat(watcher, transcript)));
    return heartbeat;
  }

  private void beat(ToolCall.Watcher watcher, Transcript transcript) {
    long begun = System.nanoTime();
    try {
      while (!ended.await(EVERY.toMillis(), TimeUnit.MILLISECONDS)) {
        double seconds = (System.nanoTime() - begun) / 1e9;
        String line = transcript.lastLine();
        String running = "running for " + Math.round(seconds) + " s";
        watcher.tell(seconds, line.isEmpty() ? running : running + ": " + line);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void close() {
    ended.countDown();
  }
}
