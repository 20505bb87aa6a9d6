package dev.podflare.cli;

import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.text.Version;
import dev.podflare.engine.EngineException;
import dev.podflare.engine.EngineFacts;
import dev.podflare.engine.Isolation;
import dev.podflare.engine.MachineShape;
import dev.podflare.engine.qemu.QemuEngine;
import dev.podflare.host.HostException;
import dev.podflare.host.Memory;
import dev.podflare.host.ProcessIdentity;
import dev.podflare.mcp.McpMount;
import dev.podflare.sandbox.CreateSandbox;
import dev.podflare.sandbox.GuestImage;
import dev.podflare.sandbox.HostLimits;
import dev.podflare.sandbox.HostMemory;
import dev.podflare.sandbox.LocalSandboxes;
import dev.podflare.sandbox.Template;
import dev.podflare.server.HttpServer;
import dev.podflare.server.ServerConfig;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/**
 * A server with all its parts, assembled here and nowhere else: engine, sandboxes, HTTP. Closing it
 * ends them in the reverse order, and their sandboxes with them; {@link #stop} can leave those.
 * What fails to start ends what had started before.
 */
final class RunningServer implements AutoCloseable {

  private static final System.Logger LOG = System.getLogger(RunningServer.class.getName());

  private static final long GIB = 1L << 30;

  /** What the host itself needs to stay usable. */
  private static final long LEAST_RESERVE = GIB / 2;

  /** An idle sandbox has some 60 MiB of its own when emulated; at work it soon has more. */
  private static final long MEMORY_PER_SANDBOX = 128L << 20;

  /** What becomes of the sandboxes when a server ends. */
  enum Ending {
    /** They are closed, the persistent ones frozen. */
    OF_ALL,
    /** They run on, for the next server on the directory. */
    OF_SERVER
  }

  private final ArrayDeque<AutoCloseable> parts = new ArrayDeque<>();
  private Ending ending = Ending.OF_ALL;
  private String result = "it never served";
  private boolean serves;

  private RunningServer() {}

  /**
   * Starts all parts. Returns when calls are served and the first machine waits.
   *
   * @param image where the guest image lies
   * @param requireKvm whether to refuse to start without hardware virtualization
   * @param pools the sizes that the operator has chosen
   * @param progress hears what takes long
   */
  static RunningServer start(
      Path dataDirectory,
      Path image,
      InetSocketAddress address,
      boolean requireKvm,
      PoolSizes pools,
      Consumer<String> progress)
      throws CommandFailure {
    RunningServer server = new RunningServer();
    boolean started = false;
    try {
      server.startParts(dataDirectory, image, address, requireKvm, pools, progress);
      started = true;
      return server;
    } catch (EngineException | IOException | IllegalArgumentException e) {
      throw new CommandFailure("the server can't start: " + e.getMessage(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CommandFailure("the start was interrupted", e);
    } finally {
      if (!started) {
        server.close();
      }
    }
  }

  /** Refuses to serve on a host where sandboxes would be emulated. */
  static void requireKvm(EngineFacts facts) throws CommandFailure {
    if (facts.isolation() != Isolation.KVM) {
      throw new CommandFailure(
          "--require-kvm was given, but there is no KVM here: "
              + facts.isolationReason()
              + ". Start it on a host with hardware or nested virtualization and /dev/kvm, or leave"
              + " the option out if this is enough: "
              + facts.isolation().promise());
    }
  }

  private void startParts(
      Path data,
      Path image,
      InetSocketAddress address,
      boolean requireKvm,
      PoolSizes pools,
      Consumer<String> progress)
      throws CommandFailure, EngineException, IOException, InterruptedException {
    Files.createDirectories(data);
    // Snapshots in it are readable for every machine's user; the directory lets nobody come that
    // far.
    Files.setPosixFilePermissions(data, PosixFilePermissions.fromString("rwx------"));
    lock(data);
    EndOfAll.forget(data);
    requireFree(address);
    KeyRing keys = KeyRing.at(data);
    ServerConfig config = new ServerConfig(address, keys.keys());
    GuestImage guestImage = GuestImage.open(image);

    QemuEngine engine = QemuEngine.in(data);
    parts.push(() -> {
      switch (ending) {
        case OF_ALL -> engine.close();
        case OF_SERVER -> engine.leave();
      }
    });
    if (requireKvm) {
      requireKvm(engine.facts());
    }
    engine.facts().warnings().forEach(progress);
    LocalSandboxes sandboxes =
        LocalSandboxes.open(
            engine,
            guestImage,
            Template.builtIn(),
            limits(pools),
            new ThisHost(),
            Clock.systemUTC(),
            data,
            progress);
    parts.push(() -> {
      switch (ending) {
        case OF_ALL -> sandboxes.close();
        case OF_SERVER -> result = count(sandboxes.leaveAll(), "left to the next server");
      }
    });
    McpMount mcp =
        McpMount.of(
            Version.current(), new McpSessions(sandboxes.clientSessions()), Clock.systemUTC());
    parts.push(() -> {
      // Its sessions' sandboxes are among those that are left.
      if (ending == Ending.OF_ALL) {
        mcp.close();
      }
    });
    HttpServer http = HttpServer.start(config, sandboxes, List.of(mcp));
    parts.push(http);
    // Before the last connections are cut, so that running execs can still say how they ended.
    parts.push(() -> {
      if (ending == Ending.OF_ALL) {
        LocalSandboxes.Ended ended = sandboxes.endAll();
        result = count(ended.closed(), "closed") + ", " + ended.frozen() + " frozen";
      }
    });
    keys.publish(http.address(), data);
    new ServerRecord(
            ProcessIdentity.of(ProcessHandle.current().pid())
                .orElseThrow(() -> new IOException("/proc does not show this process")),
            http.address().getAddress().getHostAddress() + ":" + http.address().getPort(),
            engine.facts().isolation().word(),
            engine.facts().isolationReason(),
            engine.facts().name(),
            Version.current())
        .writeTo(data);
    parts.push(() -> ServerRecord.removeFrom(data));
    serves = true;
    result = "it served";
    LOG.log(
        System.Logger.Level.INFO,
        "version {0} serves on {1} from {2}; isolation {3} ({4})",
        Version.current(),
        keys.url(http.address()),
        data,
        engine.facts().isolation().word(),
        engine.facts().name());
  }

  private static String count(int sandboxes, String what) {
    return sandboxes + (sandboxes == 1 ? " sandbox " : " sandboxes ") + what;
  }

  /**
   * Held until this process ends, however it ends: two servers on one directory would reap each
   * other.
   */
  private void lock(Path data) throws IOException, CommandFailure {
    FileChannel file =
        FileChannel.open(data.resolve("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    parts.push(file);
    FileLock lock = file.tryLock();
    if (lock == null) {
      throw new CommandFailure(
          "another server runs on "
              + data
              + "; stop it with `podflare down`, or name another directory with --data-dir");
    }
  }

  /** Before what takes long: to boot the templates for an address that is taken helps nobody. */
  private static void requireFree(InetSocketAddress address) throws CommandFailure {
    try (ServerSocket probe = new ServerSocket()) {
      probe.bind(address);
    } catch (IOException e) {
      throw new CommandFailure(
          "the server can't listen on %s:%d (%s); another program may. Name another one with --addr HOST:PORT, or look who listens: ss -ltnp"
              .formatted(address.getAddress().getHostAddress(), address.getPort(), e.getMessage()),
          e);
    }
  }

  private static HostLimits limits(PoolSizes pools) throws IOException {
    ThisHost host = new ThisHost();
    int processors = Runtime.getRuntime().availableProcessors();
    int memoryMiB = (int) Math.min(1 << 20, host.total() >> 20);
    long reserve = Math.max(LEAST_RESERVE, host.total() / 20);
    // One waiting machine for each 3 GiB: few enough to go unnoticed, enough for an agent's burst.
    int waiting = Math.clamp((host.available() - reserve) / (3 * GIB), 1, 8);
    return new HostLimits(
        new MachineShape(1, 1024, 4096),
        new MachineShape(Math.clamp(processors, 1, 64), Math.max(1024, memoryMiB / 2), 64 * 1024),
        Duration.ofMinutes(5),
        Duration.ofDays(7),
        Duration.ofDays(30),
        pools.over(Map.of(CreateSandbox.DEFAULT_TEMPLATE, waiting)),
        reserve,
        MEMORY_PER_SANDBOX);
  }

  /** Memory as /proc tells it. */
  private static final class ThisHost implements HostMemory {

    @Override
    public long total() {
      return read(Memory::total);
    }

    @Override
    public long available() {
      return read(Memory::available);
    }

    private interface Reading {
      long get() throws HostException;
    }

    private static long read(Reading reading) {
      try {
        return reading.get();
      } catch (HostException e) {
        throw new IllegalStateException("this Linux does not tell its memory", e);
      }
    }
  }

  @Override
  public void close() {
    if (!parts.isEmpty()) {
      // A start that failed has nothing of its own to end, but may have taken over what ran before.
      var _ = stop(serves ? Ending.OF_ALL : Ending.OF_SERVER);
    }
  }

  /**
   * Ends all parts.
   *
   * @return what became of the sandboxes, in words
   */
  String stop(Ending how) {
    ending = how;
    boolean hasServed = serves;
    serves = false;
    if (hasServed) {
      LOG.log(
          System.Logger.Level.INFO,
          "stops; its sandboxes {0}",
          ending == Ending.OF_ALL ? "end" : "run on");
    }
    while (!parts.isEmpty()) {
      AutoCloseable part = parts.pop();
      try {
        part.close();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      } catch (Exception e) {
        LOG.log(System.Logger.Level.ERROR, "a part of the server did not end cleanly", e);
      }
    }
    if (hasServed) {
      LOG.log(System.Logger.Level.INFO, "stopped; {0}", result);
    }
    return result;
  }
}
