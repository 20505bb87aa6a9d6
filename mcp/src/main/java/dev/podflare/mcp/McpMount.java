package dev.podflare.mcp;

import dev.podflare.server.Mount;
import dev.podflare.server.MountedCall;
import io.modelcontextprotocol.common.McpTransportContext;
import io.modelcontextprotocol.json.TypeRef;
import io.modelcontextprotocol.spec.HttpHeaders;
import io.modelcontextprotocol.spec.McpError;
import io.modelcontextprotocol.spec.McpSchema;
import io.modelcontextprotocol.spec.McpStreamableServerSession;
import io.modelcontextprotocol.spec.McpStreamableServerTransportProvider;
import io.modelcontextprotocol.spec.ProtocolVersions;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.http.HttpClient;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import reactor.core.publisher.Mono;

/**
 * The tools at {@code /mcp} of a server, by the protocol's streamable HTTP.
 *
 * <p>It calls the server that it stands in as any client does, with the key of whoever calls. So
 * what a key may do, what is too much, and what an error says is decided in one place.
 *
 * <p>There is no stream from the server to a client beyond the answers to its requests (a GET is
 * answered 405, as the protocol allows): this server never speaks first.
 */
public final class McpMount implements Mount, AutoCloseable {

  private static final String PATH = "/mcp";

  private static final int MOST_SESSIONS_OF_ONE_KEY = 100;
  private static final Duration IDLE_LIMIT = Duration.ofHours(12);

  private static final List<String> VERSIONS =
      List.of(
          ProtocolVersions.MCP_2024_11_05,
          ProtocolVersions.MCP_2025_03_26,
          ProtocolVersions.MCP_2025_06_18,
          ProtocolVersions.MCP_2025_11_25);

  private static final TypeRef<McpSchema.InitializeRequest> INITIALIZE = new TypeRef<>() {};

  private final HttpClient http = RestCalls.client();
  private final HttpSessions sessions;
  private final Provider provider = new Provider();

  McpMount(HttpSessions sessions, String version) {
    this.sessions = sessions;
    ToolServer.start(provider, version);
  }

  /**
   * Ready to be mounted.
   *
   * @param version what clients are told
   */
  public static McpMount ofVersion(String version) {
    return new McpMount(new HttpSessions(MOST_SESSIONS_OF_ONE_KEY, IDLE_LIMIT), version);
  }

  @Override
  public String path() {
    return PATH;
  }

  @Override
  public Set<String> methods() {
    return Set.of("POST", "DELETE");
  }

  /**
   * What the HTTP layer of the protocol refuses, as a JSON-RPC error that belongs to no request.
   */
  private static final class Refused extends Exception {
    private static final long serialVersionUID = 1L;

    private final int status;
    private final int code;

    Refused(int status, int code, String message) {
      super(message, null, false, false);
      this.status = status;
      this.code = code;
    }

    void answer(MountedCall call) throws IOException {
      Map<String, Object> error = new LinkedHashMap<>();
      error.put("code", code);
      error.put("message", String.valueOf(getMessage()));
      Map<String, Object> body = new LinkedHashMap<>();
      body.put("jsonrpc", "2.0");
      body.put("id", null);
      body.put("error", error);
      call.answer(
          status, Map.of("Content-Type", AnswerChannel.JSON), Json.MAPPER.writeValueAsBytes(body));
    }
  }

  @Override
  public void answer(MountedCall call) throws Exception {
    try {
      if (call.method().equals("DELETE")) {
        sessions.close(session(call));
        call.answer(204, Map.of(), new byte[0]);
      } else {
        post(call);
      }
    } catch (Refused e) {
      e.answer(call);
    }
  }

  private void post(MountedCall call) throws Refused, IOException {
    requireForm(call);
    McpSchema.JSONRPCMessage message = message(call.body(Json.MAX_MESSAGE_BYTES));
    if (message instanceof McpSchema.JSONRPCRequest request
        && request.method().equals(McpSchema.METHOD_INITIALIZE)) {
      initialize(call, request);
      return;
    }
    HttpSessions.Session session = session(call);
    switch (message) {
      case McpSchema.JSONRPCRequest request -> answer(call, session, request);
      case McpSchema.JSONRPCNotification notification -> {
        if (!Requests.cancels(session.connection(), notification)) {
          session.protocol().accept(notification).block();
        }
        call.answer(202, Map.of(), new byte[0]);
      }
      case McpSchema.JSONRPCResponse response -> {
        acceptLateAnswer(session, response);
        call.answer(202, Map.of(), new byte[0]);
      }
      default -> throw invalid("This is no request, notification or response.");
    }
  }

  /** An answer to a question that this server has not asked is nothing. */
  private static void acceptLateAnswer(
      HttpSessions.Session session, McpSchema.JSONRPCResponse response) {
    session.protocol().accept(response).onErrorComplete(McpError.class).block();
  }

  private void initialize(MountedCall call, McpSchema.JSONRPCRequest request)
      throws Refused, IOException {
    McpStreamableServerSession.McpStreamableServerSessionInit begun;
    McpSchema.InitializeResult result;
    try {
      begun =
          provider.factory().startSession(Json.MAPPER.convertValue(request.params(), INITIALIZE));
      result = begun.initResult().block();
    } catch (RuntimeException e) {
      throw new Refused(
          400,
          McpSchema.ErrorCodes.INVALID_PARAMS,
          "The parameters of initialize are not as the protocol says.");
    }
    Connection connection =
        new Connection(
            new RestCalls(http, url(call.reachedAt()), call.key()), OwnSandbox.wish(Map.of()));
    sessions.add(new HttpSessions.Session(begun.session(), connection, call.owner()));
    call.answer(
        200,
        Map.of(
            "Content-Type",
            AnswerChannel.JSON,
            HttpHeaders.MCP_SESSION_ID,
            begun.session().getId()),
        Json.MAPPER.writeValueAsBytes(McpSchema.JSONRPCResponse.result(request.id(), result)));
  }

  private static void answer(
      MountedCall call, HttpSessions.Session session, McpSchema.JSONRPCRequest request)
      throws IOException {
    RunningCall running;
    try {
      running = session.connection().begin(Requests.key(request.id()));
    } catch (Failure e) {
      call.answer(
          200,
          Map.of("Content-Type", AnswerChannel.JSON),
          Json.MAPPER.writeValueAsBytes(Requests.tooMany(request.id(), e)));
      return;
    }
    AnswerChannel channel = new AnswerChannel(call, running);
    try {
      Optional<McpSchema.JSONRPCResponse> known =
          Requests.answeredHere(session.connection(), request);
      if (known.isPresent()) {
        channel.send(known.get());
      } else {
        channel.keepAlive();
        session
            .protocol()
            .responseStream(channel)
            .handle(request)
            .contextWrite(
                context -> context.put(McpTransportContext.KEY, ToolServer.context(running)))
            .block();
      }
    } finally {
      session.connection().end(running);
      session.used();
    }
    channel.finish();
  }

  private HttpSessions.Session session(MountedCall call) throws Refused {
    Optional<String> id = call.header(HttpHeaders.MCP_SESSION_ID);
    if (id.isEmpty()) {
      throw new Refused(
          400,
          McpSchema.ErrorCodes.INVALID_REQUEST,
          "The header Mcp-Session-Id is missing. Send initialize first, and then the id that its"
              + " answer tells.");
    }
    return sessions
        .find(id.get(), call.owner())
        .orElseThrow(() ->
            new Refused(
                404,
                McpSchema.ErrorCodes.INVALID_REQUEST,
                "There is no such session: it was ended, was idle for too long, or the server was"
                    + " restarted. Send initialize again."));
  }

  private static void requireForm(MountedCall call) throws Refused {
    String type = call.header("Content-Type").orElse("").toLowerCase(Locale.ROOT);
    if (!type.split(";", 2)[0].strip().equals(AnswerChannel.JSON)) {
      throw new Refused(
          415,
          McpSchema.ErrorCodes.INVALID_REQUEST,
          "The body's Content-Type must be application/json.");
    }
    String accept = call.header("Accept").orElse("*/*").toLowerCase(Locale.ROOT);
    boolean both = accept.contains(AnswerChannel.JSON) && accept.contains(AnswerChannel.EVENTS);
    if (!both && !accept.contains("*/*")) {
      throw new Refused(
          406,
          McpSchema.ErrorCodes.INVALID_REQUEST,
          "The header Accept must name both application/json and text/event-stream.");
    }
    Optional<String> version = call.header(HttpHeaders.PROTOCOL_VERSION);
    if (version.isPresent() && !VERSIONS.contains(version.get())) {
      throw invalid(
          "The protocol version in the header is not known here; these are: "
              + String.join(", ", VERSIONS)
              + ".");
    }
  }

  private static McpSchema.JSONRPCMessage message(byte[] body) throws Refused {
    try {
      return McpSchema.deserializeJsonRpcMessage(
          Json.MAPPER, new String(body, StandardCharsets.UTF_8));
    } catch (IOException | RuntimeException e) {
      throw new Refused(
          400, McpSchema.ErrorCodes.PARSE_ERROR, "The body is not one JSON-RPC message.");
    }
  }

  private static Refused invalid(String message) {
    return new Refused(400, McpSchema.ErrorCodes.INVALID_REQUEST, message);
  }

  private static String url(InetSocketAddress address) {
    String host = address.getAddress().getHostAddress().replaceFirst("%.*", "");
    return "http://" + (host.contains(":") ? "[" + host + "]" : host) + ":" + address.getPort();
  }

  @Override
  public void close() {
    sessions.close();
    http.shutdownNow();
  }

  /** Through which the SDK hands over how sessions are made; the rest is done here. */
  private static final class Provider implements McpStreamableServerTransportProvider {

    private McpStreamableServerSession.@Nullable Factory factory;

    @Override
    public void setSessionFactory(McpStreamableServerSession.Factory factory) {
      this.factory = factory;
    }

    McpStreamableServerSession.Factory factory() {
      McpStreamableServerSession.Factory given = factory;
      if (given == null) {
        throw new IllegalStateException("the SDK gave no way to make sessions");
      }
      return given;
    }

    @Override
    public List<String> protocolVersions() {
      return VERSIONS;
    }

    @Override
    public Mono<Void> notifyClients(String method, Object params) {
      return Mono.empty();
    }

    @Override
    public Mono<Void> closeGracefully() {
      return Mono.empty();
    }
  }
}
