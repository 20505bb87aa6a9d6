package dev.podflare.server;

import io.helidon.common.buffers.BufferData;
import io.helidon.common.buffers.DataReader;
import io.helidon.common.buffers.DataWriter;
import io.helidon.common.socket.HelidonSocket;
import io.helidon.common.socket.PeerInfo;
import io.helidon.webserver.ConnectionContext;
import io.helidon.webserver.ListenerContext;
import io.helidon.webserver.ProxyProtocolData;
import io.helidon.webserver.Router;
import io.helidon.webserver.spi.ServerConnection;
import io.helidon.webserver.spi.ServerConnectionSelector;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import org.jspecify.annotations.Nullable;

/**
 * Speaks a protocol on connections that can neither fill the memory nor stall for ever.
 *
 * <p>The web server takes a chunk of a chunked body into memory as a whole before it hands on its
 * first byte, and the client says how long a chunk is, up to 2 GiB. One request could so fill the
 * heap. Here the reader of each connection refuses to run further ahead of what was consumed.
 */
final class GuardedConnections implements ServerConnectionSelector {

  /** Longest chunk, roughly. */
  private static final int MAX_UNCONSUMED_BYTES = 8 << 20;

  private final ServerConnectionSelector protocol;
  private final StallWatch stalls;

  GuardedConnections(ServerConnectionSelector protocol, StallWatch stalls) {
    this.protocol = protocol;
    this.stalls = stalls;
  }

  @Override
  public int bytesToIdentifyConnection() {
    return protocol.bytesToIdentifyConnection();
  }

  @Override
  public Support supports(BufferData data) {
    return protocol.supports(data);
  }

  @Override
  public Set<String> supportedApplicationProtocols() {
    return protocol.supportedApplicationProtocols();
  }

  @Override
  public ServerConnection connection(ConnectionContext context) {
    return protocol.connection(
        new GuardedContext(
            context,
            new Source(context.dataReader(), stalls).reader(),
            new GuardedWriter(context.dataWriter(), stalls)));
  }

  /** Where a guarded reader takes its bytes from. */
  private static final class Source {

    private final DataReader unguarded;
    private final StallWatch stalls;
    private @Nullable DataReader guarded;

    Source(DataReader unguarded, StallWatch stalls) {
      this.unguarded = unguarded;
      this.stalls = stalls;
    }

    DataReader reader() {
      DataReader reader = DataReader.create(this::pull);
      this.guarded = reader;
      return reader;
    }

    private byte[] pull() {
      if (guarded != null && guarded.available() > MAX_UNCONSUMED_BYTES) {
        throw ApiError.of(
            ErrorCode.CHUNK_TOO_LARGE,
            "A chunk of the request's body is longer than 8 MiB.",
            "Send smaller chunks, or the whole length in Content-Length.");
      }
      return stalls.watch(() -> unguarded.readBuffer().readBytes());
    }
  }

  private record GuardedWriter(DataWriter writer, StallWatch stalls) implements DataWriter {

    @Override
    public void write(BufferData... buffers) {
      writeNow(buffers);
    }

    @Override
    public void write(BufferData buffer) {
      writeNow(buffer);
    }

    @Override
    public void writeNow(BufferData... buffers) {
      stalls.watch(() -> {
        writer.writeNow(buffers);
        return buffers;
      });
    }

    @Override
    public void writeNow(BufferData buffer) {
      stalls.watch(() -> {
        writer.writeNow(buffer);
        return buffer;
      });
    }
  }

  private record GuardedContext(
      ConnectionContext context, DataReader dataReader, DataWriter dataWriter)
      implements ConnectionContext {

    @Override
    public ListenerContext listenerContext() {
      return context.listenerContext();
    }

    @Override
    public ExecutorService executor() {
      return context.executor();
    }

    @Override
    public Router router() {
      return context.router();
    }

    @Override
    public Optional<ProxyProtocolData> proxyProtocolData() {
      return context.proxyProtocolData();
    }

    @Override
    public HelidonSocket serverSocket() {
      return context.serverSocket();
    }

    @Override
    public PeerInfo remotePeer() {
      return context.remotePeer();
    }

    @Override
    public PeerInfo localPeer() {
      return context.localPeer();
    }

    @Override
    public boolean isSecure() {
      return context.isSecure();
    }

    @Override
    public String socketId() {
      return context.socketId();
    }

    @Override
    public String childSocketId() {
      return context.childSocketId();
    }
  }
}
