package dev.podflare.guest;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/**
 * guest/agent on the host's Python. It can be connected to again and again, as to the port of a
 * microVM; only one connection at a time is served.
 */
final class RealAgent {

  private final Path home;
  private final Path socket;
  private final Process process;

  private RealAgent(Path home, Path socket, Process process) {
    this.home = home;
    this.socket = socket;
    this.process = process;
  }

  static RealAgent start(Path directory) throws Exception {
    Path home = Files.createDirectory(directory.resolve("home"));
    Path socket = directory.resolve("agent.sock");
    Path wrapper = Path.of(RealAgent.class.getResource("/serve-agent.py").toURI()).toAbsolutePath();
    Process process =
        new ProcessBuilder(
                "python3",
                wrapper.toString(),
                Path.of("agent/agent.py").toAbsolutePath().toString(),
                socket.toString(),
                home.toString())
            .redirectError(directory.resolve("agent.log").toFile())
            .start();
    assertThat(process.inputReader().readLine()).isEqualTo("listening");
    return new RealAgent(home, socket, process);
  }

  /** Where its code runs. */
  Path home() {
    return home;
  }

  SocketChannel connect() throws IOException {
    return SocketChannel.open(UnixDomainSocketAddress.of(socket));
  }

  void kill() {
    process.destroyForcibly();
  }

  void stop() throws InterruptedException {
    process.destroy();
    if (!process.waitFor(60, TimeUnit.SECONDS)) {
      process.destroyForcibly();
    }
  }
}
