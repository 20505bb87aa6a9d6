package dev.podflare.cli;

import dev.podflare.cli.client.CommandFailure;
import dev.podflare.cli.client.EventPrinter;
import dev.podflare.cli.client.InterruptibleExec;
import dev.podflare.cli.client.ServerApi;
import java.io.IOException;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.UUID;

/**
 * A shell whose input is no terminal. It gets none in the sandbox either: there, the end of a pipe
 * is a key, which whatever program has the terminal then may take for something else. Its input is
 * read to its end, stored beside it, and is its standard input; so it ends with that.
 */
final class PipedShell {

  private static final int MAX_INPUT = 64 << 20;
  private static final String LOGIN_SHELL = "exec bash -l";

  private PipedShell() {}

  /**
   * Runs a command on all of this process's standard input.
   *
   * @param command empty for a login shell
   * @return its exit code
   */
  static int run(ServerApi api, String sandbox, String command) throws CommandFailure {
    byte[] input = standardInput();
    String file = "/tmp/.podflare-input-" + UUID.randomUUID();
    var _ =
        api.put(
            "/v1/sandboxes/%s/files?mode=0600&path=%s"
                .formatted(sandbox, URLEncoder.encode(file, StandardCharsets.UTF_8)),
            input.length,
            out -> out.write(input));
    String code =
        "exec <%1$s; rm -f %1$s\n%2$s".formatted(file, command.isEmpty() ? LOGIN_SHELL : command);
    String exec = begun(api, sandbox, code, file);
    try (var _ = InterruptibleExec.of(api, sandbox, exec)) {
      return EventPrinter.of(false)
          .print(api.stream("/v1/sandboxes/" + sandbox + "/execs/" + exec + "/stream?from=0"));
    }
  }

  /** Beside the sandbox's Python, as a shell on a terminal is, not in its turn. */
  private static String begun(ServerApi api, String sandbox, String code, String input)
      throws CommandFailure {
    Map<String, Object> request = Map.of("language", "bash", "background", true, "code", code);
    try {
      return api.post("/v1/sandboxes/" + sandbox + "/exec", request).path("exec").asString();
    } catch (CommandFailure refused) {
      api.delete(
          "/v1/sandboxes/%s/files?path=%s"
              .formatted(sandbox, URLEncoder.encode(input, StandardCharsets.UTF_8)));
      throw refused;
    }
  }

  private static byte[] standardInput() throws CommandFailure {
    byte[] input;
    try {
      input = System.in.readNBytes(MAX_INPUT + 1);
    } catch (IOException e) {
      throw new CommandFailure("standard input can't be read: " + e.getMessage(), e);
    }
    if (input.length > MAX_INPUT) {
      throw new CommandFailure(
          "standard input has more than %d MiB; copy it into the sandbox first: podflare cp FILE ID:"
              .formatted(MAX_INPUT >> 20));
    }
    return input;
  }
}
