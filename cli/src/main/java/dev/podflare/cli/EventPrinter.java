package dev.podflare.cli;

import dev.podflare.cli.client.CommandFailure;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Prints the events of an exec as they come, each where its code wrote it. */
final class EventPrinter {

  private static final JsonMapper JSON = JsonMapper.shared();

  private EventPrinter() {}

  /**
   * Prints up to the end.
   *
   * @return the exit code of the exec
   */
  static int print(InputStream events) throws IOException, CommandFailure {
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    PrintStream err = new PrintStream(System.err, true, StandardCharsets.UTF_8);
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(events, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      if (line.isBlank()) {
        continue; // The heartbeat of a silent stream.
      }
      JsonNode event = JSON.readTree(line);
      JsonNode data = event.path("data");
      switch (event.path("type").asString("")) {
        case "stdout" -> out.print(data.asString());
        case "stderr" -> err.print(data.asString());
        case "result" -> out.println(data.path("text/plain").asString(""));
        case "gap" -> err.println("podflare: some of the output is not kept any more");
        case "exit" -> {
          return data.asInt();
        }
        default -> {}
      }
      out.flush();
    }
    throw new CommandFailure("the server broke off before the code had ended");
  }

  static CommandFailure brokeOff(IOException cause) {
    return new CommandFailure("the server broke off: " + cause.getMessage(), cause);
  }
}
