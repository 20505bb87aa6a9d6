package dev.podflare.cli;

import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.text.Version;
import dev.podflare.engine.EngineException;
import dev.podflare.engine.qemu.QemuEngine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** Stops a server with all its sandboxes. */
@Command(
    name = "down",
    description = "Stops the server with all its sandboxes, and leaves nothing running.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
final class DownCommand implements Callable<Integer> {

  private static final long PATIENCE_SECONDS = 60;

  @Spec private CommandSpec spec;
  @Mixin private ServerOptions server = new ServerOptions();

  @Override
  public Integer call() throws CommandFailure {
    Path data = server.dataDirectory();
    Optional<ProcessHandle> running =
        ServerRecord.running(data).flatMap(record -> record.process().handle());
    if (running.isPresent()) {
      stop(running.get(), data);
      say("stopped");
    } else {
      say("no server runs on " + data);
    }
    endWhatIsLeft(data);
    return 0;
  }

  private void stop(ProcessHandle process, Path data) throws CommandFailure {
    try {
      EndOfAll.ask(data);
    } catch (IOException e) {
      throw new CommandFailure(
          "the server can't be asked to end its sandboxes: " + e.getMessage(), e);
    }
    process.destroy();
    try {
      process.onExit().get(PATIENCE_SECONDS, TimeUnit.SECONDS);
    } catch (TimeoutException tooLong) {
      say("it does not stop within " + PATIENCE_SECONDS + " s, so it is killed");
      process.destroyForcibly();
      process.onExit().join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CommandFailure("interrupted before the server had stopped", e);
    } catch (ExecutionException e) {
      throw new CommandFailure("the server's end can't be watched", e);
    }
  }

  /** A server that was killed, or stopped by a signal, has left its microVMs. */
  private void endWhatIsLeft(Path data) throws CommandFailure {
    if (!Files.isDirectory(data)) {
      return;
    }
    try (QemuEngine engine = QemuEngine.in(data)) {
      int left = engine.reap().size();
      if (left > 0) {
        say("ended " + left + " microVMs that an earlier server had left");
      }
      EndOfAll.forget(data);
    } catch (EngineException | IOException e) {
      throw new CommandFailure("what the server left can't be cleaned up: " + e.getMessage(), e);
    }
  }

  private void say(String sentence) {
    spec.commandLine().getOut().println("podflare: " + sentence);
  }
}
