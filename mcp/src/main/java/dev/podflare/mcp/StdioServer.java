package dev.podflare.mcp;

import io.modelcontextprotocol.common.McpTransportContext;
import io.modelcontextprotocol.json.TypeRef;
import io.modelcontextprotocol.modern.JsonRpc;
import io.modelcontextprotocol.spec.McpSchema;
import io.modelcontextprotocol.spec.McpServerSession;
import io.modelcontextprotocol.spec.McpServerTransport;
import io.modelcontextprotocol.spec.McpServerTransportProvider;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.http.HttpClient;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import reactor.core.publisher.Mono;

/**
 * Serves one client over standard streams: a message is a line. A request that carries its version
 * is answered for itself; one without belongs to the session that {@code initialize} began. Each
 * request has a virtual thread of its own, so that the cancellation of one that runs is read.
 */
public final class StdioServer implements AutoCloseable {

  private static final System.Logger LOG = System.getLogger(StdioServer.class.getName());

  /** How long calls that run may still answer when the client says no more. */
  private static final Duration LAST_ANSWERS = Duration.ofSeconds(10);

  /** JSON-RPC asks for an id of null when it could not be read; the SDK's type wants a value. */
  private static final Object NO_ID = "unknown";

  private final HttpClient http;
  private final Connection connection;
  private final Supplier<Caller> stateless;
  private final String version;

  /** Many clients end their server by a signal, without waiting for what it does at the end. */
  private final Thread atSignal;

  private StdioServer(
      HttpClient http, Connection connection, Supplier<Caller> stateless, String version) {
    this.http = http;
    this.connection = connection;
    this.stateless = stateless;
    this.version = version;
    this.atSignal = new Thread(connection::close, "mcp-at-signal");
    Runtime.getRuntime().addShutdownHook(atSignal);
  }

  /**
   * Prepares to serve. Whether there is a server is asked by the first tool that needs it, and then
   * said in words for a model: a client shows its user nothing of a program that ends.
   *
   * @param server how the Podflare server is found
   * @param options fields of the API's create call, for sandboxes that the client has not named
   * @param version what clients are told
   */
  public static StdioServer to(ServerAccess server, Map<String, ?> options, String version) {
    HttpClient http = RestCalls.client();
    RestCalls calls = new RestCalls(http, server);
    return new StdioServer(
        http,
        new Connection(calls, OwnSandbox.ofSession(options)),
        () -> new StatelessCaller(calls, OwnSandbox.ofStatelessCall(options)),
        version);
  }

  /**
   * Reads and answers until the client ends its stream.
   *
   * @param out taken for messages alone
   */
  public void serve(InputStream in, OutputStream out) throws IOException, InterruptedException {
    Provider provider = new Provider(new Lines(out, connection.running()));
    SessionServer.start(provider, version);
    new Reading(
            connection, stateless, provider.lines, provider.session(), new StatelessServer(version))
        .untilTheEnd(in);
    for (RunningCall call : connection.running().all()) {
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

  /** What comes from the client, in a session or each message for itself. */
  private record Reading(
      Connection connection,
      Supplier<Caller> stateless,
      Lines lines,
      McpServerSession session,
      StatelessServer statelessServer) {

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
          if (!Requests.cancels(connection.running(), notification)) {
            later(() -> session.handle(notification).block());
          }
        }
        case McpSchema.JSONRPCRequest request -> {
          if (StatelessServer.isFor(request.method(), request.params())) {
            run(request, stateless.get(), call -> answerStateless(request, call));
          } else {
            run(request, connection, call -> answerInSession(request, call));
          }
        }
        default -> later(() -> session.handle(message).block());
      }
    }

    private void run(McpSchema.JSONRPCRequest request, Caller caller, Consumer<RunningCall> work) {
      RunningCall call;
      try {
        call = connection.running().begin(Requests.key(request.id()), caller);
      } catch (Failure e) {
        lines.write(Requests.tooMany(request.id(), e));
        return;
      }
      later(() -> {
        try {
          work.accept(call);
        } finally {
          connection.running().end(call);
        }
      });
    }

    private void answerInSession(McpSchema.JSONRPCRequest request, RunningCall call) {
      Optional<McpSchema.JSONRPCResponse> known = Requests.answeredHere(connection, request);
      if (known.isPresent()) {
        lines.write(known.get());
      } else {
        session
            .handle(request)
            .contextWrite(
                context -> context.put(McpTransportContext.KEY, SessionServer.context(call)))
            .block();
      }
    }

    private void answerStateless(McpSchema.JSONRPCRequest request, RunningCall call) {
      JsonRpc.JSONRPCRequest asked =
          new JsonRpc.JSONRPCRequest(request.method(), request.id(), request.params());
      lines.writeOf(
          call, statelessServer.answer(asked, call, message -> lines.writeOf(call, message)));
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
    private final RunningCalls running;
    private boolean broken;

    Lines(OutputStream out, RunningCalls running) {
      this.out = out;
      this.running = running;
    }

    @Override
    public Mono<Void> sendMessage(McpSchema.JSONRPCMessage message) {
      return Mono.fromRunnable(() -> write(message));
    }

    void write(McpSchema.JSONRPCMessage message) {
      boolean unwanted =
          message instanceof McpSchema.JSONRPCResponse response
              && response.id() != null
              && running.isCancelled(Requests.key(response.id()));
      if (!unwanted) {
        writeLine(message);
      }
    }

    /** Writes what belongs to a call, unless that was cancelled. */
    void writeOf(RunningCall call, JsonRpc.JSONRPCMessage message) {
      if (!call.isCancelled()) {
        writeLine(message);
      }
    }

    private synchronized void writeLine(Object message) {
      if (broken) {
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
      return SessionServer.VERSIONS;
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
