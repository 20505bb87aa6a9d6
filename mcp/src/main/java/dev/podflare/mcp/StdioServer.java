package dev.podflare.mcp;

import io.modelcontextprotocol.common.McpTransportContext;
import io.modelcontextprotocol.json.TypeRef;
import io.modelcontextprotocol.spec.McpSchema;
import io.modelcontextprotocol.spec.McpServerSession;
import io.modelcontextprotocol.spec.McpServerTransport;
import io.modelcontextprotocol.spec.McpServerTransportProvider;
import io.modelcontextprotocol.spec.ProtocolVersions;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.http.HttpClient;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import reactor.core.publisher.Mono;

/**
 * Serves one client over standard streams: a message is a line. Each request has a virtual thread
 * of its own, so that the cancellation of one that runs is read.
 */
public final class StdioServer implements AutoCloseable {

  private static final System.Logger LOG = System.getLogger(StdioServer.class.getName());

  /** How long calls that run may still answer when the client says no more. */
  private static final Duration LAST_ANSWERS = Duration.ofSeconds(10);

  /** JSON-RPC asks for an id of null when it could not be read; the SDK's type wants a value. */
  private static final Object NO_ID = "unknown";

  private final HttpClient http;
  private final Connection connection;
  private final String version;

  /** Many clients end their server by a signal, without waiting for what it does at the end. */
  private final Thread atSignal;

  private StdioServer(HttpClient http, Connection connection, String version) {
    this.http = http;
    this.connection = connection;
    this.version = version;
    this.atSignal = new Thread(connection::close, "mcp-at-signal");
    Runtime.getRuntime().addShutdownHook(atSignal);
  }

  /**
   * Prepares to serve.
   *
   * @param server the address of a Podflare server, such as http://127.0.0.1:7070
   * @param key for that server; empty if it asks for none
   * @param wish fields of the API's create call, for the connection's own sandbox
   * @param version what clients are told
   */
  public static StdioServer to(String server, String key, Map<String, ?> wish, String version) {
    HttpClient http = RestCalls.client();
    return new StdioServer(
        http, new Connection(new RestCalls(http, server, key), OwnSandbox.wish(wish)), version);
  }

  /**
   * Reads and answers until the client ends its stream.
   *
   * @param out taken for messages alone
   */
  public void serve(InputStream in, OutputStream out) throws IOException, InterruptedException {
    Provider provider = new Provider(new Lines(out, connection));
    ToolServer.start(provider, version);
    new Reading(connection, provider.lines, provider.session()).untilTheEnd(in);
    for (RunningCall call : connection.running()) {
      call.awaitEnd(LAST_ANSWERS);
    }
  }

  /** Closes the client's own sandbox. */
  @Override
  public void close() {
    connection.close();
    http.shutdownNow();
    try {
      Runtime.getRuntime().removeShutdownHook(atSignal);
    } catch (IllegalStateException ending) {
      LOG.log(System.Logger.Level.DEBUG, "a signal came while the server ended by itself", ending);
    }
  }

  /** What comes from the client. */
  private record Reading(Connection connection, Lines lines, McpServerSession session) {

    void untilTheEnd(InputStream in) throws IOException {
      LineReader reader = new LineReader(in, Json.MAX_MESSAGE_BYTES);
      boolean ended = false;
      while (!ended) {
        try {
          Optional<byte[]> line = reader.next();
          ended = line.isEmpty();
          line.ifPresent(this::take);
        } catch (LineReader.TooLong e) {
          lines.write(Requests.error(NO_ID, McpSchema.ErrorCodes.INVALID_REQUEST, reason(e)));
        }
      }
    }

    private void take(byte[] line) {
      McpSchema.JSONRPCMessage message;
      try {
        message =
            McpSchema.deserializeJsonRpcMessage(
                Json.MAPPER, new String(line, StandardCharsets.UTF_8));
      } catch (IOException | RuntimeException e) {
        lines.write(
            Requests.error(
                NO_ID,
                McpSchema.ErrorCodes.PARSE_ERROR,
                "This line is not one JSON-RPC message: " + reason(e)));
        return;
      }
      switch (message) {
        case McpSchema.JSONRPCNotification notification -> {
          if (!Requests.cancels(connection, notification)) {
            later(() -> session.handle(notification).block());
          }
        }
        case McpSchema.JSONRPCRequest request -> take(request);
        default -> later(() -> session.handle(message).block());
      }
    }

    private void take(McpSchema.JSONRPCRequest request) {
      RunningCall call;
      try {
        call = connection.begin(Requests.key(request.id()));
      } catch (Failure e) {
        lines.write(Requests.tooMany(request.id(), e));
        return;
      }
      later(() -> {
        try {
          Optional<McpSchema.JSONRPCResponse> known = Requests.answeredHere(connection, request);
          if (known.isPresent()) {
            lines.write(known.get());
          } else {
            session
                .handle(request)
                .contextWrite(
                    context -> context.put(McpTransportContext.KEY, ToolServer.context(call)))
                .block();
          }
        } finally {
          connection.end(call);
        }
      });
    }

    private static void later(Runnable work) {
      Thread.ofVirtual()
          .name("mcp-request")
          .uncaughtExceptionHandler(
              (_, e) -> LOG.log(System.Logger.Level.ERROR, "a message could not be handled", e))
          .start(work);
    }

    private static String reason(Exception e) {
      return String.valueOf(e.getMessage()).lines().findFirst().orElse("");
    }
  }

  /** Messages to the client, each a line. Safe for use by many threads. */
  private static final class Lines implements McpServerTransport {

    private final OutputStream out;
    private final Connection connection;
    private boolean broken;

    Lines(OutputStream out, Connection connection) {
      this.out = out;
      this.connection = connection;
    }

    @Override
    public Mono<Void> sendMessage(McpSchema.JSONRPCMessage message) {
      return Mono.fromRunnable(() -> write(message));
    }

    synchronized void write(McpSchema.JSONRPCMessage message) {
      boolean unwanted =
          message instanceof McpSchema.JSONRPCResponse response
              && response.id() != null
              && connection.isCancelled(Requests.key(response.id()));
      if (broken || unwanted) {
        return;
      }
      try {
        byte[] line = Json.MAPPER.writeValueAsBytes(message);
        out.write(line);
        out.write('\n');
        out.flush();
      } catch (IOException e) {
        // The client is gone; the end of its other stream ends this program.
        broken = true;
        LOG.log(System.Logger.Level.WARNING, "the client does not read any more", e);
      }
    }

    @Override
    public <T> T unmarshalFrom(Object data, TypeRef<T> type) {
      return Json.MAPPER.convertValue(data, type);
    }

    @Override
    public Mono<Void> closeGracefully() {
      return Mono.empty();
    }
  }

  /** Has the one session made. */
  private static final class Provider implements McpServerTransportProvider {

    private final Lines lines;
    private @Nullable McpServerSession session;

    Provider(Lines lines) {
      this.lines = lines;
    }

    @Override
    public void setSessionFactory(McpServerSession.Factory factory) {
      session = factory.create(lines);
    }

    McpServerSession session() {
      McpServerSession made = session;
      if (made == null) {
        throw new IllegalStateException("the SDK made no session");
      }
      return made;
    }

    @Override
    public List<String> protocolVersions() {
      return List.of(
          ProtocolVersions.MCP_2024_11_05,
          ProtocolVersions.MCP_2025_03_26,
          ProtocolVersions.MCP_2025_06_18,
          ProtocolVersions.MCP_2025_11_25);
    }

    @Override
    public Mono<Void> notifyClients(String method, Object params) {
      return session().sendNotification(method, params);
    }

    @Override
    public Mono<Void> closeGracefully() {
      return session().closeGracefully();
    }
  }
}
