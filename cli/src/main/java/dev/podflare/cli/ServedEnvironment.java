package dev.podflare.cli;

import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.ServerAddress;
import dev.podflare.sdk.Client;
import dev.podflare.sdk.PodflareException;
import dev.podflare.worker.EnvironmentWorker;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * A worker at its work, until the program is asked to end.
 *
 * <p>Apart from its command, which every start of the program loads: what is caught here would be
 * loaded with it.
 */
final class ServedEnvironment {

  private ServedEnvironment() {}

  /**
   * Serves an environment with the sandboxes of a server.
   *
   * @throws CommandFailure if it can't go on
   */
  static void serve(EnvironmentWorker.Settings settings, ServerAddress server)
      throws CommandFailure {
    try (Client client = Client.builder().host(server.url()).apiKey(server.key()).build()) {
      client.list(
          labels -> labels.metadata(EnvironmentWorker.ENVIRONMENT_LABEL, settings.environment()));
      serve(new EnvironmentWorker(settings, client));
    } catch (PodflareException unusable) {
      throw new CommandFailure(
          "there is no Podflare server to run sandboxes on: " + unusable.getMessage(), unusable);
    } catch (IllegalStateException refused) {
      throw new CommandFailure(String.valueOf(refused.getMessage()), refused);
    }
  }

  private static void serve(EnvironmentWorker worker) {
    CountDownLatch stopped = new CountDownLatch(1);
    AtomicBoolean isOrderly = new AtomicBoolean();
    Runtime.getRuntime()
        .addShutdownHook(Thread.ofPlatform().unstarted(() -> end(worker, stopped, isOrderly)));
    try {
      worker.run();
      isOrderly.set(true);
    } finally {
      stopped.countDown();
    }
  }

  /** The JVM ends when its hooks do: this one waits until work is answered, or given back. */
  private static void end(
      EnvironmentWorker worker, CountDownLatch stopped, AtomicBoolean isOrderly) {
    worker.stop();
    try {
      stopped.await();
    } catch (InterruptedException hurried) {
      Thread.currentThread().interrupt();
    }
    if (isOrderly.get()) {
      // To be asked to end is no failure; the JVM's own code would be that of the signal.
      Runtime.getRuntime().halt(0);
    }
  }
}
