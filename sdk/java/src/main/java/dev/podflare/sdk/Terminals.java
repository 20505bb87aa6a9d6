package dev.podflare.sdk;

import java.util.List;

/**
 * The terminals of a sandbox: programs that run as if a person sat before them.
 *
 * {@snippet :
 * import dev.podflare.sdk.*;
 *
 * try (Sandbox sb = Podflare.create();
 *     Terminal terminal =
 *         sb.terminals()
 *             .open(TerminalOptions.command("bash -l").withOnData(bytes -> System.out.writeBytes(bytes)))) {
 *   terminal.send("echo $((6 * 7))\nexit\n");
 *   System.out.println("ended with " + terminal.await().code());
 * }
 * }
 */
public final class Terminals {
  private final Sandbox sandbox;

  Terminals(Sandbox sandbox) {
    this.sandbox = sandbox;
  }

  /** Runs a login shell. */
  public Terminal open() {
    return open(TerminalOptions.shell());
  }

  /**
   * Runs a program in a terminal.
   *
   * @throws NotFoundException the sandbox is gone
   */
  public Terminal open(TerminalOptions options) {
    String query =
        "?cmd="
            + Url.query(options.command())
            + "&cols="
            + options.cols()
            + "&rows="
            + options.rows()
            + (options.cwd() == null ? "" : "&cwd=" + Url.query(options.cwd()));
    return connect(query, options);
  }

  /**
   * Attaches to a terminal that runs. Its last megabyte of output comes first. Whoever was attached
   * before is detached.
   *
   * @throws NotFoundException there is none, or it is not kept any more
   */
  public Terminal attach(String id) {
    return attach(id, TerminalOptions.shell());
  }

  /** The same, telling the options' callback what comes; nothing else of them counts. */
  public Terminal attach(String id, TerminalOptions options) {
    return connect("?pty=" + Url.query(id), options);
  }

  /** All terminals of the sandbox that are kept. */
  public List<TerminalInfo> list() {
    return sandbox.json(Call.get(sandbox.path("/ptys"))).list("ptys").stream()
        .map(TerminalInfo::of)
        .toList();
  }

  /** Kills what runs in a terminal. */
  public void kill(String id) {
    // Not sent again: the second answer could be 404 for what the first one ended.
    sandbox.json(Call.delete(sandbox.path("/ptys/" + Url.part(id))).once());
  }

  private Terminal connect(String query, TerminalOptions options) {
    TerminalFrames frames = new TerminalFrames(options.onData());
    Transport transport = sandbox.client().transport();
    transport.webSocket(sandbox.path("/pty" + query), sandbox.traceparent(), frames);
    return new Terminal(frames, transport.host());
  }
}
