package dev.podflare.engine.qemu;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * A program in a jail that can be asked what it is able to do, over the first of the jail's
 * sockets.
 */
final class JailedPython implements AutoCloseable {

  private static final String PROGRAM =
      """
      import errno, json, os, socket
      listener = socket.socket(fileno=4)
      connection = listener.accept()[0].makefile("rw")
      for line in connection:
          try:
              said = str(eval(json.loads(line)))
          except OSError as e:
              said = errno.errorcode[e.errno]
          print(said, file=connection, flush=True)
      """;

  private final Process process;
  private final SocketChannel channel;
  private final BufferedReader answers;

  private JailedPython(Process process, Path socket) throws IOException {
    this.process = process;
    this.channel = SocketChannel.open(StandardProtocolFamily.UNIX);
    channel.connect(UnixDomainSocketAddress.of(socket));
    this.answers =
        new BufferedReader(new InputStreamReader(Channels.newInputStream(channel), UTF_8));
  }

  /**
   * Starts it.
   *
   * @param jail which listens on this socket first
   */
  static JailedPython start(Jail jail, Path socket) throws Exception {
    Jail complete = jail;
    for (Map.Entry<String, Path> shown : Qemu.systemPaths(Path.of("/")).entrySet()) {
      complete = complete.showing(shown.getValue(), shown.getKey());
    }
    JailedPython python =
        new JailedPython(complete.start(List.of("/usr/bin/python3", "-I", "-c", PROGRAM)), socket);
    // The sockets listen before the jail has become the program: from here on it is that.
    assertThat(python.value("'started'")).isEqualTo("started");
    return python;
  }

  /** The value of a Python expression in there, or the name of the error that it met. */
  String value(String expression) throws IOException {
    String line =
        '"' + expression.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + "\"\n";
    ByteBuffer bytes = ByteBuffer.wrap(line.getBytes(UTF_8));
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
    return answers.readLine();
  }

  long pid() {
    return process.pid();
  }

  /** What the host's kernel says of it under this name in /proc/PID/status. */
  String status(String name) throws IOException {
    try (Stream<String> lines = Files.lines(proc("status"))) {
      return lines
          .filter(line -> line.startsWith(name + ":"))
          .map(line -> line.substring(name.length() + 1).strip())
          .findFirst()
          .orElseThrow();
    }
  }

  Path proc(String file) {
    return Path.of("/proc/" + process.pid()).resolve(file);
  }

  @Override
  public void close() throws IOException {
    channel.close();
    process.destroyForcibly().onExit().orTimeout(60, TimeUnit.SECONDS).join();
  }
}
