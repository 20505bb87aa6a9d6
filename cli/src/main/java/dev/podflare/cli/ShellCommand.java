package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Names;
import dev.podflare.cli.client.NewSandbox;
import dev.podflare.cli.client.ProcessSignal;
import dev.podflare.cli.client.ServerApi;
import dev.podflare.cli.text.InWords;
import dev.podflare.cli.text.Printable;
import dev.podflare.cli.text.Style;
import dev.podflare.cli.text.Version;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintWriter;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.stream.StreamSupport;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.databind.JsonNode;

/** A terminal in a sandbox, on this one. */
@Command(
    name = "shell",
    description = {
      "Opens a shell in a sandbox, and ends with its exit code.",
      "Without an ID, in a new sandbox that is closed afterwards.",
      DetachKey.IN_WORDS
          + " leaves it running; --attach comes back to it. A program that runs keeps the sandbox; a"
          + " shell at its prompt does not.",
      "Without a terminal, the shell reads standard input, and ends with it."
    },
    footer = {
      "",
      "Examples:",
      "  podflare shell",
      "  podflare shell worker -c 'python3 train.py'",
      "  podflare shell --persistent --memory 2048 --env STAGE=test",
      "  podflare shell ID < setup.sh"
    },
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class ShellCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Option(
      names = "--attach",
      arity = "0..1",
      fallbackValue = "",
      paramLabel = "PTY",
      description =
          "Come back to a terminal that runs, with what it said last: this one, or else the newest.")
  private @Nullable String attach;

  @Option(
      names = {"-c", "--command"},
      paramLabel = "CMD",
      description = "What to run (default: bash -l).")
  private @Nullable String command;

  @ArgGroup(exclusive = false, heading = "%nOf a new sandbox:%n")
  private NewSandbox wanted = new NewSandbox();

  @Option(
      names = {"-e", "--env"},
      paramLabel = "NAME=VALUE",
      description = "An environment variable of a new sandbox.")
  private Map<String, String> env = new HashMap<>();

  @Parameters(
      arity = "0..1",
      paramLabel = "ID",
      description = "An open sandbox; an id may be cut short.")
  private @Nullable String sandbox;

  /** How it ended, and whether somebody may come back to it. */
  private record Outcome(int exitCode, boolean left) {}

  @Override
  public Integer call() throws CommandFailure {
    ServerApi api = client.api();
    String given = sandbox;
    boolean byHand = Style.isTerminal(0);
    if (given != null) {
      String id = new Names(api).sandbox(given);
      return byHand || attach != null ? run(api, id).exitCode() : piped(api, id);
    }
    if (attach != null) {
      throw new CommandFailure("--attach needs the id of the sandbox: podflare shell ID --attach");
    }
    String id = api.post("/v1/sandboxes", wanted.request(env)).path("id").asString();
    boolean left = false;
    try {
      if (!byHand) {
        return piped(api, id);
      }
      Outcome outcome = run(api, id);
      left = outcome.left();
      return outcome.exitCode();
    } finally {
      if (!left) {
        api.delete("/v1/sandboxes/" + id);
      }
    }
  }

  private int piped(ServerApi api, String id) throws CommandFailure {
    String cmd = command;
    return PipedShell.run(api, id, cmd == null ? "" : cmd);
  }

  private Outcome run(ServerApi api, String id) throws CommandFailure {
    String what = what(api, id);
    if (!Style.isTerminal(0)) {
      throw new CommandFailure(
          "--attach needs a terminal on standard input; to run a command beside it: podflare shell "
              + id
              + " -c COMMAND");
    }
    LocalTerminal.Size size = LocalTerminal.size();
    RemoteTerminal remote = new RemoteTerminal(new FileOutputStream(FileDescriptor.out));
    api.connect(
        "/v1/sandboxes/" + id + "/pty?cols=" + size.cols() + "&rows=" + size.rows() + what, remote);
    String terminal = get(remote.started());
    RemoteTerminal.End end = use(remote, id, size);
    return outcome(api, id, terminal, end);
  }

  private String what(ServerApi api, String id) throws CommandFailure {
    String wanted = attach;
    if (wanted != null) {
      return "&pty=" + terminal(api, id, wanted);
    }
    String cmd = command;
    return cmd == null ? "" : "&cmd=" + URLEncoder.encode(cmd, StandardCharsets.UTF_8);
  }

  /** The terminal whose id begins so, or the newest that runs. */
  private static String terminal(ServerApi api, String id, String wanted) throws CommandFailure {
    List<JsonNode> there =
        StreamSupport.stream(
                api.get("/v1/sandboxes/" + id + "/ptys").path("ptys").spliterator(), false)
            .filter(pty ->
                wanted.isEmpty()
                    ? pty.path("exit_code").isNull()
                    : pty.path("id").asString().startsWith(wanted))
            .toList();
    if (there.isEmpty()) {
      throw new CommandFailure(
          wanted.isEmpty()
              ? "no terminal runs in this sandbox; open one with: podflare shell " + id
              : "no terminal of this sandbox begins with " + Printable.line(wanted));
    }
    if (!wanted.isEmpty() && there.size() > 1) {
      throw new CommandFailure("several terminals begin with " + Printable.line(wanted));
    }
    return there.getLast().path("id").asString();
  }

  private RemoteTerminal.End use(RemoteTerminal remote, String id, LocalTerminal.Size size)
      throws CommandFailure {
    Optional<LocalTerminal> local = LocalTerminal.raw();
    try {
      if (local.isPresent()) {
        say("podflare: " + id + ", " + DetachKey.IN_WORDS + " detaches");
        ProcessSignal.onEach("WINCH", () -> follow(remote));
        if (!LocalTerminal.size().equals(size)) {
          follow(remote);
        }
      }
      Thread.ofPlatform().daemon().name("keys").start(() -> type(remote));
      return get(remote.end());
    } finally {
      local.ifPresent(LocalTerminal::close);
    }
  }

  private static void follow(RemoteTerminal remote) {
    try {
      remote.resize(LocalTerminal.size());
    } catch (CommandFailure unknown) {
      // It keeps the size that it has.
    }
  }

  private static void type(RemoteTerminal remote) {
    DetachKey key = new DetachKey();
    byte[] keys = new byte[4096];
    try (FileInputStream input = new FileInputStream(FileDescriptor.in)) {
      for (int read = input.read(keys); read >= 0; read = input.read(keys)) {
        byte[] passed = key.filter(keys, read);
        if (passed.length > 0) {
          remote.type(passed);
        }
        if (key.isPressed()) {
          remote.detach();
          return;
        }
      }
      remote.detach(); // Its window was closed.
    } catch (IOException gone) {
      remote.detach();
    }
  }

  private Outcome outcome(ServerApi api, String id, String terminal, RemoteTerminal.End end) {
    String back = "podflare shell " + id + " --attach " + terminal;
    return switch (end) {
      case RemoteTerminal.End.Exit(int code, boolean killed) -> {
        if (killed) {
          say("podflare: the sandbox's machine has ended");
        }
        yield new Outcome(code, false);
      }
      case RemoteTerminal.End.Detached() -> {
        say("\r\npodflare: detached; come back with: " + back);
        say(rest(api, id));
        yield new Outcome(0, true);
      }
      case RemoteTerminal.End.Closed(int code, String reason) -> {
        say("\r\npodflare: " + closed(code, reason) + " Come back with: " + back);
        yield new Outcome(CommandFailure.FAILED, true);
      }
      case RemoteTerminal.End.Broken(String why) -> {
        say("\r\npodflare: the connection broke (" + why + "); come back with: " + back);
        yield new Outcome(CommandFailure.FAILED, true);
      }
    };
  }

  /** What becomes of a sandbox whose terminal nobody reads. */
  private static String rest(ServerApi api, String id) {
    try {
      JsonNode info = api.get("/v1/sandboxes/" + id);
      return "podflare: it goes on as long as a program runs in it; a shell at its prompt %s after %s"
          .formatted(
              info.path("persistent").asBoolean() ? "freezes" : "is closed with its sandbox",
              InWords.age(Duration.ofSeconds(info.path("idle_timeout_seconds").asLong())));
    } catch (CommandFailure unknown) {
      return "podflare: its sandbox: " + unknown.getMessage();
    }
  }

  private static String closed(int code, String reason) {
    return reason.isEmpty() ? "the server closed the connection (" + code + ")." : reason;
  }

  private void say(String line) {
    PrintWriter to = spec.commandLine().getErr();
    to.print(line + "\r\n");
    to.flush();
  }

  private static <T> T get(CompletableFuture<T> future) throws CommandFailure {
    try {
      return future.get();
    } catch (ExecutionException e) {
      throw new CommandFailure("the server broke off: " + e.getMessage(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CommandFailure("interrupted", e);
    }
  }
}
