package dev.podflare.mcp;

import java.util.Map;

/** What {@code podflare mcp} does, without a command line. */
final class StdioProgram {

  private StdioProgram() {}

  public static void main(String[] arguments) throws Exception {
    try (StdioServer server = StdioServer.to(arguments[0], arguments[1], Map.of(), "1.2.3")) {
      server.serve(System.in, System.out);
    }
  }
}
