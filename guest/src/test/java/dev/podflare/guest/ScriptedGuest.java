package dev.podflare.guest;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;

/** The other end of a real channel, which says what a test tells it to say. */
final class ScriptedGuest implements AutoCloseable {

  private final SocketChannel channel;
  private final DataInputStream input;
  private final AgentConnection connection;

  /** What it says in its HELLO. */
  static final ResyncToken TOKEN = ResyncToken.parse("ff8081fe" + "a5".repeat(28));

  private ScriptedGuest(SocketChannel channel, AgentConnection connection) {
    this.channel = channel;
    this.input = new DataInputStream(new BufferedInputStream(Channels.newInputStream(channel)));
    this.connection = connection;
  }

  static ScriptedGuest start() throws IOException {
    return start(Duration.ofSeconds(20));
  }

  static ScriptedGuest start(Duration patience) throws IOException {
    Path directory = Files.createTempDirectory("guest");
    Path path = directory.resolve("agent.sock");
    try (var server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      var address = UnixDomainSocketAddress.of(path);
      server.bind(address);
      SocketChannel host = SocketChannel.open(address);
      return new ScriptedGuest(server.accept(), AgentConnection.over(host, patience));
    } finally {
      Files.deleteIfExists(path);
      Files.delete(directory);
    }
  }

  /** The host's end, which is tested. */
  AgentConnection host() {
    return connection;
  }

  static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  static byte[] header(int length, int kind, int stream) {
    return ByteBuffer.allocate(Limits.HEADER)
        .putInt(length)
        .put((byte) kind)
        .putInt(stream)
        .array();
  }

  static byte[] frame(FrameKind kind, int stream, byte[] payload) {
    byte[] header = header(payload.length, kind.number(), stream);
    byte[] frame = Arrays.copyOf(header, header.length + payload.length);
    System.arraycopy(payload, 0, frame, header.length, payload.length);
    return frame;
  }

  void send(FrameKind kind, int stream, String payload) throws IOException {
    send(kind, stream, bytes(payload));
  }

  void send(FrameKind kind, int stream, byte[] payload) throws IOException {
    sendRaw(frame(kind, stream, payload));
  }

  void sendRaw(byte[] bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.wrap(bytes);
    while (buffer.hasRemaining()) {
      channel.write(buffer);
    }
  }

  void sayHello() throws IOException {
    send(
        FrameKind.HELLO,
        0,
        "{\"protocol\":2,\"python\":\"3.13.5\",\"resync\":\"%s\"}".formatted(TOKEN.hex()));
  }

  void sendCredit(int stream, int bytes) throws IOException {
    send(FrameKind.CREDIT, stream, ByteBuffer.allocate(4).putInt(bytes).array());
  }

  void close(int stream) throws IOException {
    send(FrameKind.CLOSED, stream, "{\"ok\":true}");
  }

  void closeExec(int stream) throws IOException {
    send(
        FrameKind.CLOSED,
        stream,
        """
        {"ok":true,"exit_code":0,"reason":"ok","state_kept":true,"duration_ms":1,"dropped":0}\
        """);
  }

  /** The next frame of the host. */
  Frame receive() throws IOException {
    int length = input.readInt();
    byte number = input.readByte();
    FrameKind kind =
        Arrays.stream(FrameKind.values())
            .filter(k -> k.number() == number)
            .findFirst()
            .orElseThrow();
    int stream = input.readInt();
    return new Frame(kind, stream, input.readNBytes(length));
  }

  /** The next frame of the host, which must be of this kind. */
  Frame receive(FrameKind kind) throws IOException {
    Frame frame = receive();
    assertThat(frame.kind()).isEqualTo(kind);
    return frame;
  }

  /** The number of the stream that the host opens next. */
  int receiveOpen() throws IOException {
    return receive(FrameKind.OPEN).stream();
  }

  static String text(Frame frame) {
    return new String(frame.payload(), 0, frame.length(), StandardCharsets.UTF_8);
  }

  /** Waits until the host has ended the channel, whatever it says before. */
  void awaitHostLeaving() {
    try {
      input.transferTo(OutputStream.nullOutputStream());
    } catch (IOException leftInTheMiddle) {
      assertThat(leftInTheMiddle).hasMessageContaining("reset");
    }
  }

  /** Ends the channel, as a microVM does that dies. */
  void die() throws IOException {
    channel.close();
  }

  @Override
  public void close() throws IOException {
    connection.close();
    channel.close();
  }
}
