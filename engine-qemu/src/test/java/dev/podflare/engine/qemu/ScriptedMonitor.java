package dev.podflare.engine.qemu;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The monitor's end of a control socket, which says what a test tells it to. */
final class ScriptedMonitor implements AutoCloseable {

  static final String GREETING = "{\"QMP\":{\"version\":{},\"capabilities\":[]}}\n";

  private final ServerSocketChannel server;
  private final Path socket;
  private SocketChannel channel;
  private BufferedReader commands;

  private ScriptedMonitor(Path socket) throws IOException {
    this.socket = socket;
    this.server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    server.bind(UnixDomainSocketAddress.of(socket));
  }

  static ScriptedMonitor at(Path socket) throws IOException {
    return new ScriptedMonitor(socket);
  }

  /** A connection on which the greetings have been exchanged. */
  Qmp connect(Consumer<Qmp.Event> listener) throws Exception {
    CompletableFuture<Qmp> connected = connecting(listener);
    accept();
    say(GREETING);
    answer(command(), "{}");
    return connected.get(60, TimeUnit.SECONDS);
  }

  CompletableFuture<Qmp> connecting(Consumer<Qmp.Event> listener) {
    CompletableFuture<Qmp> connected = new CompletableFuture<>();
    Thread.ofVirtual()
        .start(() -> {
          try {
            connected.complete(Qmp.connect(socket, listener));
          } catch (Exception e) {
            connected.completeExceptionally(e);
          }
        });
    return connected;
  }

  void accept() throws IOException {
    channel = server.accept();
    commands = new BufferedReader(new InputStreamReader(Channels.newInputStream(channel), UTF_8));
  }

  JsonNode command() throws IOException {
    return JsonMapper.shared().readTree(commands.readLine());
  }

  void answer(JsonNode command, String value) throws IOException {
    say("{\"return\": " + value + ", \"id\": " + command.path("id") + "}\n");
  }

  void say(String text) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(UTF_8));
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }

  /** Ends the connection, as a monitor does that dies. */
  void end() throws IOException {
    channel.close();
  }

  @Override
  public void close() throws IOException {
    server.close();
    if (channel != null) {
      channel.close();
    }
  }
}
