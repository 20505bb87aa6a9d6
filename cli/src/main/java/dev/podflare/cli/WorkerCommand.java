package dev.podflare.cli;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Environment;
import dev.podflare.cli.text.Version;
import dev.podflare.worker.EnvironmentKey;
import dev.podflare.worker.EnvironmentWorker;
import dev.podflare.worker.GitHost;
import dev.podflare.worker.ProviderAddress;
import dev.podflare.worker.WebhookEndpoint;
import dev.podflare.worker.WebhookKey;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Runs the tool calls of a provider's managed agents. */
@Command(
    name = "worker",
    description = "Runs the tool calls of a provider's managed agents in sandboxes.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the field before a command runs.
final class WorkerCommand implements Runnable {

  @Spec private CommandSpec spec;

  @Override
  public void run() {
    throw new ParameterException(
        spec.commandLine(), "Say which provider's: podflare worker anthropic");
  }

  @Command(
      name = "anthropic",
      description = {
        "Serves a self-hosted environment of Anthropic's managed agents, until stopped.",
        "Polls its queue, and runs the tool calls of each session in a sandbox of its own.",
        "The server is the one of $PODFLARE_HOSTD_URL and $PODFLARE_API_KEY, or else this",
        "machine's. docs/worker.md has more."
      },
      mixinStandardHelpOptions = true,
      versionProvider = Version.class)
  int anthropic(
      @Mixin ClientOptions client,
      @Option(
              names = "--environment",
              paramLabel = "ID",
              description = "The environment's id (default: $ANTHROPIC_ENVIRONMENT_ID).")
          @Nullable String environment,
      @Option(
              names = "--key-file",
              paramLabel = "FILE",
              description =
                  "A file of mode 0600 with the environment's key (default:"
                      + " $ANTHROPIC_ENVIRONMENT_KEY).")
          @Nullable Path keyFile,
      @Option(
              names = "--base-url",
              paramLabel = "URL",
              description =
                  "Where the provider's API is (default: $ANTHROPIC_BASE_URL, or"
                      + " https://api.anthropic.com).")
          @Nullable String baseUrl,
      @Option(
              names = "--insecure",
              description =
                  "Allows plain http:// to a private address, for a control plane of your own.")
          boolean isInsecure,
      @Option(
              names = "--ca-file",
              paramLabel = "FILE",
              description =
                  "A PEM file with certificate authorities to trust beside the usual ones.")
          @Nullable Path authorities,
      @Option(
              names = "--max-sessions",
              paramLabel = "N",
              defaultValue = "4",
              description = "How many sessions are served at once (default: ${DEFAULT-VALUE}).")
          int maxSessions,
      @Option(
              names = "--max-idle",
              paramLabel = "SECONDS",
              defaultValue = "60",
              description =
                  "How long after the end of a turn a session is kept; its sandbox stays longer"
                      + " (default: ${DEFAULT-VALUE}).")
          int maxIdle,
      @Option(
              names = "--sandbox-lifetime",
              paramLabel = "HOURS",
              defaultValue = "168",
              description =
                  "How long a session's sandbox lives at most (default: ${DEFAULT-VALUE}).")
          int lifetime,
      @Option(
              names = "--template",
              paramLabel = "NAME",
              description = "What sandboxes are copies of.")
          @Nullable String template,
      @Option(names = "--no-egress", description = "Sandboxes have no way to the outside.")
          boolean noEgress,
      @Option(
              names = "--custom-tool",
              paramLabel = "NAME",
              description =
                  "Also answers the agent's custom tool of this name: run_python or run_bash.")
          @Nullable List<String> customTools,
      @Option(
              names = "--git-host",
              paramLabel = "HOST",
              defaultValue = "github.com",
              description =
                  "Where the repositories of sessions are cloned from (default: ${DEFAULT-VALUE}).")
          String gitHost,
      @Option(
              names = "--git-token-file",
              paramLabel = "FILE",
              description =
                  "A file of mode 0600 with a token that may read private repositories there.")
          @Nullable Path gitTokenFile,
      @Option(
              names = "--webhook-addr",
              paramLabel = "HOST:PORT",
              description =
                  "Where the provider's webhooks come in, behind a proxy with TLS (default: they"
                      + " do not).")
          @Nullable String webhookAddress,
      @Option(
              names = "--webhook-key-file",
              paramLabel = "FILE",
              description =
                  "A file of mode 0600 with their signing secret (default:"
                      + " $ANTHROPIC_WEBHOOK_SIGNING_KEY).")
          @Nullable Path webhookKeyFile)
      throws CommandFailure {
    ServerLog.begin();
    EnvironmentWorker.Settings settings;
    try {
      settings =
          new EnvironmentWorker.Settings(
              ProviderAddress.of(
                  given(baseUrl, "ANTHROPIC_BASE_URL", EnvironmentWorker.PROVIDER),
                  isInsecure,
                  authorities),
              given(environment, "ANTHROPIC_ENVIRONMENT_ID", ""),
              EnvironmentKey.of(keyFile, System.getenv()),
              maxSessions,
              Duration.ofSeconds(maxIdle),
              template,
              !noEgress,
              Duration.ofHours(lifetime),
              customTools == null ? Set.of() : Set.copyOf(customTools),
              GitHost.of(gitHost, gitTokenFile, authorities),
              cache(),
              webhookAddress == null
                  ? null
                  : WebhookEndpoint.of(
                      webhookAddress, WebhookKey.of(webhookKeyFile, System.getenv())));
    } catch (IllegalArgumentException wrong) {
      throw new CommandFailure(String.valueOf(wrong.getMessage()), wrong);
    }
    ServedEnvironment.serve(settings, client.address());
    return 0;
  }

  /** Beside the SDKs' configuration, where the desktop's rules put such things. */
  private static Path cache() {
    String configured = Environment.value("XDG_CACHE_HOME", "");
    Path home =
        configured.isEmpty()
            ? Path.of(System.getProperty("user.home"), ".cache")
            : Path.of(configured);
    return home.resolve("podflare").resolve("worker");
  }

  private static String given(@Nullable String option, String variable, String otherwise) {
    return option == null ? Environment.value(variable, otherwise) : option;
  }
}
