package dev.podflare.cli.sandbox;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Names;
import dev.podflare.cli.client.ServerApi;
import dev.podflare.cli.text.Version;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Interrupts running code. */
@Command(
    name = "interrupt",
    description = {
      "Interrupts the code that runs in a sandbox, as Ctrl-C would. Its variables stay.",
      "With an EXEC, that one: also one that waits, or runs in the background."
    },
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
public final class InterruptCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Parameters(
      index = "0",
      paramLabel = "ID",
      description = "The sandbox: its name, or id, cut short or not.")
  private String sandbox;

  @Parameters(
      index = "1",
      paramLabel = "EXEC",
      arity = "0..1",
      description = "One of its execs; an id may be cut short.")
  private @Nullable String exec;

  @Override
  public Integer call() throws CommandFailure {
    ServerApi api = client.api();
    Names names = new Names(api);
    String id = names.sandbox(sandbox);
    String one = exec;
    String path = one == null ? "/interrupt" : "/execs/" + names.exec(id, one) + "/interrupt";
    var _ = api.post("/v1/sandboxes/" + id + path, Map.of());
    spec.commandLine().getErr().println("interrupted " + id);
    return 0;
  }
}
