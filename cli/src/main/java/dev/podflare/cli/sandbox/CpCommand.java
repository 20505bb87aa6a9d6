package dev.podflare.cli.sandbox;

import dev.podflare.cli.client.ClientOptions;
import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.Names;
import dev.podflare.cli.client.ServerApi;
import dev.podflare.cli.text.InWords;
import dev.podflare.cli.text.Version;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Copies files and folders into a sandbox, and out of it. */
@Command(
    name = "cp",
    description = {
      "Copies a file, or a folder with all that is in it, into a sandbox or out of it.",
      "A path in a sandbox is ID:PATH; one that does not begin with / lies in its /root. A target"
          + " that is a folder, or ends with /, gets the source into it, by its name."
    },
    footer = {
      "",
      "Permissions are kept, links are followed within a folder on this side and left out on the"
          + " other. Empty folders are not copied into a sandbox.",
      "",
      "Examples:",
      "  podflare cp data.csv ID:                  # to /root/data.csv",
      "  podflare cp ./project worker:/root/work",
      "  podflare cp ID:/root/out/plot.png ."
    },
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
@SuppressWarnings("NullAway.Init") // picocli sets the fields before call().
public final class CpCommand implements Callable<Integer> {

  /** An id or a name, and a path. Neither begins as a path of this side does. */
  private static final Pattern REMOTE = Pattern.compile("([^/.:][^/:]*):(.*)", Pattern.DOTALL);

  private static final String HOME = "/root/";

  @Spec private CommandSpec spec;
  @Mixin private ClientOptions client = new ClientOptions();

  @Parameters(index = "0", paramLabel = "SOURCE", description = "PATH or ID:PATH.")
  private String source;

  @Parameters(index = "1", paramLabel = "TARGET", description = "ID:PATH or PATH.")
  private String target;

  /** A path in a sandbox, as it was typed. */
  private record Remote(String sandbox, String path) {

    static Optional<Remote> of(String word) {
      Matcher matcher = REMOTE.matcher(word);
      return matcher.matches()
          ? Optional.of(new Remote(matcher.group(1), absolute(matcher.group(2))))
          : Optional.empty();
    }

    private static String absolute(String path) {
      boolean isOfHome = path.equals("~") || path.startsWith("~/");
      return path.startsWith("/") || isOfHome ? path : HOME + path;
    }
  }

  @Override
  public Integer call() throws CommandFailure {
    Optional<Remote> from = Remote.of(source);
    Optional<Remote> to = Remote.of(target);
    if (from.isPresent() == to.isPresent()) {
      throw new ParameterException(
          spec.commandLine(),
          from.isPresent()
              ? "one of the two must be on this machine; for a copy of a sandbox: podflare fork"
              : "one of the two must be in a sandbox: ID:PATH");
    }
    ServerApi api = client.api();
    String id = new Names(api).sandbox(from.or(() -> to).orElseThrow().sandbox());
    CopyProgress progress = CopyProgress.on(spec.commandLine().getErr());
    Copied copied =
        from.isPresent()
            ? new Download(api, id, progress).copy(from.get().path(), Path.of(target))
            : new Upload(api, id, progress).copy(Path.of(source), to.orElseThrow().path());
    progress.done();
    spec.commandLine()
        .getErr()
        .println(
            "copied %d %s, %s, to %s"
                .formatted(
                    copied.files(),
                    copied.files() == 1 ? "file" : "files",
                    InWords.bytes(copied.bytes()),
                    copied.target()));
    return 0;
  }
}
