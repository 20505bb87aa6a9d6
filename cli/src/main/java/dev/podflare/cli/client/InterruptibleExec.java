package dev.podflare.cli.client;

import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Ctrl-C while a command waits for an exec: the code is interrupted, as it would be on a terminal,
 * and what it says then is still shown. Without this it would run on, alone.
 */
public final class InterruptibleExec implements AutoCloseable {

  /** For code to stop, which is killed after 5 s, and for its last words. */
  private static final long PATIENCE_SECONDS = 12;

  private final ServerApi api;
  private final String call;
  private final CountDownLatch done = new CountDownLatch(1);
  private final Thread atSignal = new Thread(this::interrupt, "interrupt-exec");

  private InterruptibleExec(ServerApi api, String call) {
    this.api = api;
    this.call = call;
  }

  /** One of a sandbox's execs, from now on until this is closed. */
  public static InterruptibleExec of(ServerApi api, String sandbox, String id) {
    InterruptibleExec exec =
        new InterruptibleExec(api, "/v1/sandboxes/" + sandbox + "/execs/" + id + "/interrupt");
    Runtime.getRuntime().addShutdownHook(exec.atSignal);
    return exec;
  }

  private void interrupt() {
    try {
      var _ = api.post(call, Map.of());
      var _ = done.await(PATIENCE_SECONDS, TimeUnit.SECONDS);
    } catch (CommandFailure failure) {
      System.err.println("podflare: the code runs on: " + failure.getMessage());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void close() {
    done.countDown();
    try {
      Runtime.getRuntime().removeShutdownHook(atSignal);
    } catch (IllegalStateException ending) {
      return; // It has been told, and waits for this.
    }
  }
}
