package dev.podflare.host;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/**
 * A network namespace that has a name, as those of ip-netns(8): a file over which it is mounted. It
 * is entered by a thread and not by a process. What that opens, what it writes to {@code
 * /proc/sys/net}, and what programs that it starts do, is the namespace's.
 */
record NetworkNamespace(String name) {

  private static final Path DIRECTORY = Path.of("/run/netns");
  private static final String OF_THREAD = "/proc/thread-self/ns/net";
  private static final int CLONE_NEWNET = 0x40000000;
  private static final long MS_BIND = 0x1000;
  private static final long MS_REC = 0x4000;
  private static final long MS_SHARED = 0x100000;
  private static final long MNT_DETACH = 2;

  /** What is done inside. */
  interface Work<T> {
    T run() throws IOException, HostException;
  }

  /** The file by which it can be entered. */
  Path file() {
    return DIRECTORY.resolve(name);
  }

  boolean exists() {
    return Files.exists(file());
  }

  /** Makes it. There must be none of this name. */
  void create() throws IOException, HostException {
    Begun<Boolean> creation =
        onThreadOfItsOwn(() -> {
          SystemCall.UNSHARE.call(CLONE_NEWNET);
          try (var _ = HostLock.acquire()) {
            shareDirectory();
            Files.createFile(file());
            try {
              mount(OF_THREAD, file().toString(), MS_BIND);
            } catch (IOException e) {
              Files.delete(file());
              throw e;
            }
          }
          return true;
        });
    boolean _ = creation.await();
  }

  /**
   * What is unmounted here must be unmounted wherever else it has got to: else a namespace would
   * live on in the mounts of a service that started meanwhile.
   */
  private static void shareDirectory() throws IOException {
    Files.createDirectories(DIRECTORY);
    String directory = DIRECTORY.toString();
    try {
      mount("", directory, MS_SHARED | MS_REC);
    } catch (SystemCallException e) {
      if (e.errno() != Errno.EINVAL) {
        throw e;
      }
      mount(directory, directory, MS_BIND | MS_REC); // It was no mount.
      mount("", directory, MS_SHARED | MS_REC);
    }
  }

  private static void mount(String source, String target, long flags) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment from = arena.allocateFrom(source);
      MemorySegment to = arena.allocateFrom(target);
      MemorySegment type = arena.allocateFrom("none");
      SystemCall.MOUNT.call(from.address(), to.address(), type.address(), flags, 0);
    }
  }

  /** Takes its name away: it ends with the last process that is in it. Does nothing without it. */
  void delete() throws IOException {
    if (!exists()) {
      return;
    }
    try (Arena arena = Arena.ofConfined()) {
      SystemCall.UMOUNT2.call(arena.allocateFrom(file().toString()).address(), MNT_DETACH);
    } catch (SystemCallException e) {
      if (e.errno() != Errno.EINVAL) { // Nothing was mounted yet, when somebody was killed.
        throw e;
      }
    }
    Files.deleteIfExists(file());
  }

  /**
   * Does something inside, on a thread of its own that ends with it: so none stays in the namespace
   * whatever happens.
   */
  <T> T inside(Work<T> work) throws IOException, HostException {
    return begin(work).await();
  }

  /** Begins something inside, as {@link #inside}. It must be waited for before this is deleted. */
  <T> Begun<T> begin(Work<T> work) {
    return onThreadOfItsOwn(() -> {
      try (Descriptor namespace = Descriptor.open(file(), Descriptor.Access.READ)) {
        SystemCall.SETNS.call(namespace.number(), CLONE_NEWNET);
      }
      return work.run();
    });
  }

  private <T> Begun<T> onThreadOfItsOwn(Work<T> work) {
    CompletableFuture<T> done = new CompletableFuture<>();
    Thread.ofPlatform()
        .name("namespace-" + name)
        .start(() -> {
          try {
            done.complete(work.run());
          } catch (IOException | HostException | RuntimeException | Error e) {
            done.completeExceptionally(e);
          }
        });
    return new Begun<>(done);
  }

  /** What goes on inside. */
  record Begun<T>(CompletableFuture<T> done) {

    /** Not to be interrupted, as it takes no time: what is opened inside would be nobody's. */
    T await() throws IOException, HostException {
      try {
        return done.join();
      } catch (CompletionException e) {
        switch (done.exceptionNow()) {
          case IOException failure -> throw failure;
          case HostException failure -> throw failure;
          default -> throw e;
        }
      }
    }
  }
}
