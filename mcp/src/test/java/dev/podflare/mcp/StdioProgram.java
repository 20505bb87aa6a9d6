package dev.podflare.mcp;

import java.util.Map;

/** What {@code podflare mcp} does, without a command line. */
final class StdioProgram {

  private StdioProgram() {}

  public static void main(String[] arguments) throws Exception {
    ServerAccess access =
        arguments.length == 2
            ? ServerAccess.to(arguments[0], arguments[1])
            : () -> {
              throw new ServerAccess.NoServerException("There are no credentials of a server here");
            };
    try (StdioServer server = StdioServer.to(access, Map.of(), "1.2.3")) {
      server.serve(System.in, System.out);
    }
  }
}
