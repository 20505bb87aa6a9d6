package dev.podflare.cli;

import java.io.InputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import picocli.CommandLine;

/** What a command said, and its exit code. */
record Ended(int code, String out, String error) {

  /** Runs a command in this process, with nothing on its standard input. */
  static Ended of(String... words) {
    StringWriter out = new StringWriter();
    StringWriter error = new StringWriter();
    CommandLine commandLine =
        Main.commandLine(words)
            .setOut(new PrintWriter(out, true))
            .setErr(new PrintWriter(error, true));
    InputStream typed = System.in;
    System.setIn(InputStream.nullInputStream()); // what the tests' runner has there never ends
    try {
      return new Ended(commandLine.execute(words), out.toString(), error.toString());
    } finally {
      System.setIn(typed);
    }
  }
}
