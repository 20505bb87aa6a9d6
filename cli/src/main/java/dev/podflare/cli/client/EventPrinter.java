package dev.podflare.cli.client;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Prints the events of an exec as they come, each where its code wrote it. */
public final class EventPrinter {

  private static final JsonMapper JSON = JsonMapper.shared();

  private final boolean json;
  private final String timeLimit;
  private final PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
  private final PrintStream err = new PrintStream(System.err, true, StandardCharsets.UTF_8);

  private EventPrinter(boolean json, String timeLimit) {
    this.json = json;
    this.timeLimit = timeLimit;
  }

  /**
   * For any exec.
   *
   * @param json whether to print the events themselves, one a line
   */
  public static EventPrinter of(boolean json) {
    return new EventPrinter(json, "by its time limit");
  }

  /**
   * The same for an exec with a time limit.
   *
   * @param limit in words, such as {@code after 1 s (--timeout)}
   */
  public static EventPrinter of(boolean json, String limit) {
    return new EventPrinter(json, limit);
  }

  /**
   * Prints up to the end.
   *
   * @return the exit code of the exec
   */
  public int print(InputStream events) throws CommandFailure {
    try (BufferedReader lines =
        new BufferedReader(new InputStreamReader(events, StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        if (line.isBlank()) {
          continue; // A sign of life.
        }
        JsonNode event = JSON.readTree(line);
        if (json) {
          out.println(line.strip());
        } else {
          print(event);
        }
        if (event.path("type").asString("").equals("exit")) {
          return event.path("data").asInt();
        }
      }
    } catch (SocketTimeoutException e) {
      throw new CommandFailure(
          CommandFailure.NO_SERVER,
          "the server gives no sign of life any more; the code may run on: podflare logs ID");
    } catch (IOException e) {
      throw new CommandFailure("the server broke off: " + e.getMessage(), e);
    } catch (JacksonException e) {
      throw new CommandFailure("the server sent what is no event", e);
    }
    throw new CommandFailure("the server broke off before the code had ended");
  }

  private void print(JsonNode event) {
    JsonNode data = event.path("data");
    switch (event.path("type").asString("")) {
      case "stdout" -> out.print(data.asString());
      case "stderr" -> err.print(data.asString());
      case "result" -> out.println(data.path("text/plain").asString(""));
      case "waiting" -> err.println("podflare: waits for what runs in the sandbox to end");
      case "gap" -> err.println("podflare: some of the output is not kept any more");
      case "exit" -> explain(event);
      default -> {}
    }
    out.flush();
  }

  /** What the exit code alone does not say. */
  private void explain(JsonNode exit) {
    switch (exit.path("reason").asString("")) {
      case "timeout" -> err.println("podflare: stopped " + timeLimit);
      case "interrupted" -> err.println("podflare: interrupted");
      case "oom" ->
          err.println(
              "podflare: ended for want of memory; give a new sandbox more with --memory MIB");
      case "killed" -> err.println("podflare: ended with its sandbox's machine");
      default -> {}
    }
    if (!exit.path("state_kept").asBoolean(true)) {
      err.println("podflare: the Python process ended with it; the variables are gone");
    }
  }
}
