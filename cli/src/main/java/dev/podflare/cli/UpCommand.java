package dev.podflare.cli;

import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Credentials;
import dev.podflare.cli.client.Environment;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Starts a server, in this process or beside it. */
@Command(
    name = "up",
    description = "Sets up what is missing, and serves.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class UpCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private ServerOptions server = new ServerOptions();

  @Option(names = "--detach", description = "Return once it serves; stop it with: podflare down")
  private boolean detach;

  @Option(names = "--require-kvm", description = "Refuse to start without hardware virtualization.")
  private boolean requireKvm;

  @Option(
      names = "--pools",
      paramLabel = "TEMPLATE=N,...",
      description =
          "How many machines of a template wait for their users (default: $PODFLARE_POOLS, or by this"
              + " host's memory). A template with 0 is built when it is first asked for.")
  private String pools = Environment.value("PODFLARE_POOLS", "");

  @Option(
      names = "--mirror",
      paramLabel = "URL",
      description = {
        "Package mirror for the guest image (default: the one that this host's packages come from).",
        "Read by the launcher, before this program starts."
      })
  @SuppressWarnings("UnusedVariable")
  private @Nullable String mirror;

  @Option(
      names = "--slim",
      description = {
        "A small guest image, without what is only for convenience. docs/image.md lists both.",
        "Read by the launcher, before this program starts."
      })
  @SuppressWarnings("UnusedVariable")
  private boolean slim;

  @Option(
      names = "--pip-index",
      paramLabel = "URL",
      description = {
        "Package index of pip in the sandboxes, which can read it, a password in it included"
            + " (default: the index of this host's own pip, without a password).",
        "Read by the launcher, before this program starts."
      })
  @SuppressWarnings("UnusedVariable")
  private @Nullable String pipIndex;

  @Override
  public Integer call() throws CommandFailure {
    Path data = server.dataDirectory();
    Optional<ServerRecord> already = ServerRecord.running(data);
    if (already.isPresent()) {
      out().println("A server runs already, as process " + already.get().process().pid() + ".");
      greet(already.get());
    } else if (detach) {
      DetachedServer.start(data, spec.commandLine().getParseResult().originalArgs(), this::say);
      greet(ServerRecord.require(data));
    } else {
      serve(data);
    }
    return 0;
  }

  private void serve(Path data) throws CommandFailure {
    ServerLog.begin();
    CountDownLatch stop = new CountDownLatch(1);
    CountDownLatch stopped = new CountDownLatch(1);
    // The JVM ends when its hooks do: this one lets go only when nothing is left behind.
    Runtime.getRuntime()
        .addShutdownHook(
            Thread.ofPlatform()
                .unstarted(() -> {
                  stop.countDown();
                  await(stopped);
                }));
    try (var _ =
        RunningServer.start(
            data,
            imageDirectory(),
            server.address(),
            requireKvm,
            PoolSizes.parse(pools),
            this::say)) {
      greet(ServerRecord.require(data));
      DetachedServer.sayServing(out());
      await(stop);
    } finally {
      stopped.countDown();
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /**
   * One image serves all servers of a machine: building it takes minutes and most of a gigabyte.
   */
  static Path imageDirectory() {
    return Path.of(Environment.value("PODFLARE_IMAGE_DIR", "/var/lib/podflare/image"));
  }

  private PrintWriter out() {
    return spec.commandLine().getOut();
  }

  private void say(String sentence) {
    out().println("podflare: " + sentence);
    out().flush();
  }

  private void greet(ServerRecord running) {
    out()
        .printf(
            """

            Podflare serves on http://%s
            Isolation: %s (%s; %s)
            Credentials: %s

            Try it:
              from podflare import Sandbox   # PYTHONPATH=sdk/python/src, or: pip install ./sdk/python
              with Sandbox() as sb:
                  print(sb.run_code("print('hello from a microVM')").stdout)

            """,
            running.address(),
            running.isolation(),
            running.isolationReason(),
            running.engine(),
            Credentials.userFile());
    out().flush();
  }
}
