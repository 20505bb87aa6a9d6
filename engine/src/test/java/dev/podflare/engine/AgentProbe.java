package dev.podflare.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.DataInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;

/** Speaks just enough of docs/agent-protocol.md to see that a guest is alive. */
public final class AgentProbe implements AutoCloseable {

  private static final int OPEN = 1;
  private static final int HELLO = 16;
  private static final int CLOSED = 21;

  private final SocketChannel channel;
  private final DataInputStream in;
  private int stream;

  private AgentProbe(SocketChannel channel) {
    this.channel = channel;
    this.in = new DataInputStream(Channels.newInputStream(channel));
  }

  public static AgentProbe on(MicroVm microVm) throws EngineException {
    return new AgentProbe(microVm.attach());
  }

  public void awaitHello() throws IOException {
    assertThat(receive()).isEqualTo(HELLO);
  }

  public void ping() throws IOException {
    sendPing();
    awaitPong();
  }

  public void sendPing() throws IOException {
    byte[] call = "{\"op\":\"ping\"}".getBytes(StandardCharsets.US_ASCII);
    ByteBuffer frame = ByteBuffer.allocate(9 + call.length);
    frame.putInt(call.length).put((byte) OPEN).putInt(++stream).put(call).flip();
    while (frame.hasRemaining()) {
      channel.write(frame);
    }
  }

  public void awaitPong() throws IOException {
    assertThat(receive()).isEqualTo(CLOSED);
  }

  private int receive() throws IOException {
    int length = in.readInt();
    int kind = in.readUnsignedByte();
    in.readInt();
    assertThat(length).isBetween(0, 4096);
    in.readFully(new byte[length]);
    return kind;
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
