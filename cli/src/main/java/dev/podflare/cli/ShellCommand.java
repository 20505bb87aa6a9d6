package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Names;
import dev.podflare.cli.client.ServerApi;
import dev.podflare.cli.text.Printable;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintWriter;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.stream.StreamSupport;
import org.jspecify.annotations.Nullable;
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
      DetachKey.IN_WORDS + " leaves it running; --attach comes back to it."
    },
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class ShellCommand implements Callable<Integer> {

  private static final int END_OF_INPUT = 4;

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

  @Option(names = "--template", description = "The template of a new sandbox.")
  private String template = "default";

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
    if (given != null) {
      return run(api, new Names(api).sandbox(given)).exitCode();
    }
    if (attach != null) {
      throw new CommandFailure("--attach needs the id of the sandbox: podflare shell ID --attach");
    }
    String id = api.post("/v1/sandboxes", Map.of("template", template)).path("id").asString();
    boolean left = false;
    try {
      Outcome outcome = run(api, id);
      left = outcome.left();
      return outcome.exitCode();
    } finally {
      if (!left) {
        api.delete("/v1/sandboxes/" + id);
      }
    }
  }

  private Outcome run(ServerApi api, String id) throws CommandFailure {
    LocalTerminal.Size size = LocalTerminal.size();
    RemoteTerminal remote = new RemoteTerminal(new FileOutputStream(FileDescriptor.out));
    api.connect(
        "/v1/sandboxes/" + id + "/pty?cols=" + size.cols() + "&rows=" + size.rows() + what(api, id),
        remote);
    String terminal = get(remote.started());
    RemoteTerminal.End end = use(remote, id, size);
    return outcome(id, terminal, end);
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
        LocalTerminal.whenResized(() -> follow(remote));
        if (!LocalTerminal.size().equals(size)) {
          follow(remote);
        }
      }
      Thread.ofPlatform().daemon().name("keys").start(() -> type(remote, local.isPresent()));
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

  private static void type(RemoteTerminal remote, boolean byHand) {
    DetachKey key = new DetachKey();
    byte[] keys = new byte[4096];
    try (FileInputStream input = new FileInputStream(FileDescriptor.in)) {
      for (int read = input.read(keys); read >= 0; read = input.read(keys)) {
        byte[] passed = byHand ? key.filter(keys, read) : Arrays.copyOf(keys, read);
        if (passed.length > 0) {
          remote.type(passed);
        }
        if (key.isPressed()) {
          remote.detach();
          return;
        }
      }
      if (byHand) {
        remote.detach(); // Its window was closed.
      } else {
        remote.type(new byte[] {END_OF_INPUT});
      }
    } catch (IOException gone) {
      remote.detach();
    }
  }

  private Outcome outcome(String id, String terminal, RemoteTerminal.End end) {
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
