package dev.podflare.host;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/**
 * A network namespace, entered by a thread and not by a process: network_namespaces(7). What it
 * opens, and what it writes to {@code /proc/sys/net}, is the namespace's.
 *
 * @param file by which the kernel keeps it
 */
record NetworkNamespace(Path file) {

  private static final int CLONE_NEWNET = 0x40000000;

  /** What is done inside. */
  interface Work<T> {
    T run() throws IOException;
  }

  /**
   * Does something inside, on a thread of its own that ends with it: so none stays in the namespace
   * whatever happens.
   */
  <T> T inside(Work<T> work) throws IOException {
    CompletableFuture<T> done = new CompletableFuture<>();
    Thread.ofPlatform()
        .name("in-" + file.getFileName())
        .start(() -> {
          try (Descriptor namespace = Descriptor.open(file, Descriptor.Access.READ)) {
            SystemCall.SETNS.call(namespace.number(), CLONE_NEWNET);
            done.complete(work.run());
          } catch (IOException | RuntimeException | Error e) {
            done.completeExceptionally(e);
          }
        });
    try {
      // Not to be interrupted, as it takes no time: what was opened would be nobody's.
      return done.join();
    } catch (CompletionException e) {
      Throwable cause = done.exceptionNow();
      throw new IOException(String.valueOf(cause.getMessage()), cause);
    }
  }
}
