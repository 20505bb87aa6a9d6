package dev.podflare.cli;

import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Credentials;
import dev.podflare.cli.client.Environment;
import dev.podflare.cli.client.ProcessSignal;
import dev.podflare.cli.text.Version;
import dev.podflare.engine.Isolation;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Starts a server, in this process or beside it. */
@Command(
    name = "up",
    description = {
      "Sets up what is missing, and serves.",
      "Ctrl-C and `podflare down` end the sandboxes; a server that is stopped by SIGTERM, or dies,",
      "leaves them to the next one."
    },
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
    AtomicBoolean isInterrupted = new AtomicBoolean();
    AtomicBoolean isOrderly = new AtomicBoolean();
    ProcessSignal.onEach(
        "INT",
        () -> {
          if (isInterrupted.compareAndSet(false, true)) {
            say("stops, and ends its sandboxes");
            stop.countDown();
          } else {
            say("is ending its sandboxes still; kill -9 leaves them to: podflare down");
          }
        });
    // Not left to the hook below: by then the JDK has closed the log.
    ProcessSignal.onEach("TERM", stop::countDown);
    ProcessSignal.onEach("HUP", stop::countDown);
    // The JVM ends when its hooks do: this one lets go only when the server has.
    Runtime.getRuntime()
        .addShutdownHook(
            Thread.ofPlatform()
                .unstarted(() -> {
                  stop.countDown();
                  await(stopped);
                  if (isOrderly.get()) {
                    // To be stopped is no failure; the JVM's own code would be that of the signal.
                    Runtime.getRuntime().halt(0);
                  }
                }));
    try (RunningServer running =
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
      // Who sends a signal may be the system, which restarts the server or itself.
      String done =
          running.stop(
              isInterrupted.get() || EndOfAll.isAsked(data)
                  ? RunningServer.Ending.OF_ALL
                  : RunningServer.Ending.OF_SERVER);
      if (isInterrupted.get()) {
        say(done);
      }
      isOrderly.set(true);
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

  /** What somebody should know who lets other machines come in. */
  private static String remarkOn(String address) {
    int port = address.lastIndexOf(':');
    String host = address.substring(0, port);
    if (host.startsWith("127.") || host.endsWith(":1") || host.equals("localhost")) {
      return "";
    }
    return """
    WARNING: other machines reach it, by plain HTTP: key, code and data can be read on the way.
    Put a proxy with TLS in front of it, or listen on a private network only.
    From another machine: podflare list --server http://THIS-HOST%s, with the key of the
    credentials above in PODFLARE_API_KEY (podflare env prints both).
    """
        .formatted(address.substring(port));
  }

  private void greet(ServerRecord running) {
    out()
        .printf(
            """

            Podflare serves on http://%s
            Isolation: %s (%s; %s)
            %s
            Credentials: %s
            %s
            Try it:
              from podflare import Sandbox   # PYTHONPATH=sdk/python/src, or: pip install ./sdk/python
              with Sandbox() as sb:
                  print(sb.run_code("print('hello from a microVM')").stdout)

            """,
            running.address(),
            running.isolation(),
            running.isolationReason(),
            running.engine(),
            Isolation.of(running.isolation()).promise(),
            Credentials.userFile(),
            remarkOn(running.address()));
    out().flush();
  }
}
