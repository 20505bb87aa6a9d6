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
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.http.HttpClient;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import reactor.core.publisher.Mono;

/**
 * The tools at {@code /mcp} of a server, by the protocol's streamable HTTP: each request for itself
 * (from version 2026-07-28 on), and in sessions (before).
 *
 * <p>It calls the server that it stands in as any client does, with the key of whoever calls. So
 * what a key may do, what is too much, and what an error says is decided in one place.
 *
 * <p>There is no stream from the server to a client beyond the answers to its requests (a GET is
 * answered 405, as the protocol allows): this server never speaks first.
 */
public final class McpMount implements Mount, AutoCloseable {

  private static final String PATH = "/mcp";

  private static final String STATELESS_VERSION =
      io.modelcontextprotocol.modern.McpSchema.LATEST_PROTOCOL_VERSION;

  private static final int MOST_SESSIONS_OF_ONE_KEY = 100;
  private static final Duration IDLE_LIMIT = Duration.ofHours(12);

  /** A client's name and capabilities are a few hundred; this is written down for each session. */
  private static final int MOST_KEPT_OF_CLIENT = 16 * 1024;

  /**
   * Where a web page may be from that calls this server, such as a client's own on this machine.
   */
  private static final Pattern LOOPBACK =
      Pattern.compile(
          "https?://(localhost|127(\\.[0-9]{1,3}){3}|\\[::1\\])(:[0-9]{1,5})?",
          Pattern.CASE_INSENSITIVE);

  private static final TypeRef<McpSchema.InitializeRequest> INITIALIZE = new TypeRef<>() {};

  private final HttpClient http = RestCalls.client();
  private final HttpSessions sessions;
  private final Provider provider = new Provider();
  private final StatelessHttp stateless;

  McpMount(HttpSessions sessions, String version) {
    this.sessions = sessions;
    SessionServer.start(provider, version);
    stateless = new StatelessHttp(new StatelessServer(version), http);
  }

  /**
   * Ready to be mounted.
   *
   * @param version what clients are told
   * @param store where sessions are kept
   * @param clock by which they grow old
   */
  public static McpMount of(String version, SessionStore store, InstantSource clock) {
    return new McpMount(
        new HttpSessions(MOST_SESSIONS_OF_ONE_KEY, IDLE_LIMIT, store, clock), version);
  }

  @Override
  public String path() {
    return PATH;
  }

  @Override
  public Set<String> methods() {
    return Set.of("POST", "DELETE");
  }

  @Override
  public void answer(MountedCall call) throws Exception {
    try {
      if (call.method().equals("DELETE")) {
        sessions.end(session(call));
        call.answer(204, Map.of(), new byte[0]);
      } else {
        post(call);
      }
    } catch (RefusedException e) {
      e.answer(call);
    }
  }

  private void post(MountedCall call) throws RefusedException, IOException {
    requireForm(call);
    String body = new String(call.body(Json.MAX_MESSAGE_BYTES), StandardCharsets.UTF_8);
    Optional<String> version = call.header(HttpHeaders.PROTOCOL_VERSION);
    boolean ofSessions = version.isEmpty() || SessionServer.VERSIONS.contains(version.get());
    boolean inSession =
        call.header(HttpHeaders.MCP_SESSION_ID).isPresent()
            && !version.equals(Optional.of(STATELESS_VERSION));
    McpSchema.JSONRPCMessage message = message(body, ofSessions || inSession);
    if (message == null) {
      stateless.answer(call, body);
      return;
    }
    if (message instanceof McpSchema.JSONRPCRequest request) {
      if (StatelessServer.isFor(request.method(), request.params())) {
        stateless.answer(call, body);
        return;
      }
      if (request.method().equals(McpSchema.METHOD_INITIALIZE)) {
        initialize(call, request);
        return;
      }
    }
    if (!ofSessions) {
      throw RefusedException.invalid(
          "The protocol version in the header is not one that has sessions; these are: "
              + String.join(", ", SessionServer.VERSIONS)
              + ".");
    }
    HttpSessions.Session session = session(call);
    switch (message) {
      case McpSchema.JSONRPCRequest request -> answer(call, session, request);
      case McpSchema.JSONRPCNotification notification -> {
        if (!Requests.cancels(session.connection().running(), notification)) {
          session.protocol().accept(notification).block();
        }
        call.answer(202, Map.of(), new byte[0]);
      }
      case McpSchema.JSONRPCResponse response -> {
        acceptLateAnswer(session, response);
        call.answer(202, Map.of(), new byte[0]);
      }
      default -> throw RefusedException.invalid("This is no request, notification or response.");
    }
  }

  /**
   * The body as a message of the versions that have sessions; null if its headers say that it is of
   * none of them, and {@code initialize} does not say otherwise.
   */
  private static McpSchema.@Nullable JSONRPCMessage message(String body, boolean ofSessions)
      throws RefusedException {
    try {
      McpSchema.JSONRPCMessage message = McpSchema.deserializeJsonRpcMessage(Json.MAPPER, body);
      boolean begins =
          message instanceof McpSchema.JSONRPCRequest request
              && request.method().equals(McpSchema.METHOD_INITIALIZE);
      return ofSessions || begins ? message : null;
    } catch (IOException | RuntimeException e) {
      if (!ofSessions) {
        return null;
      }
      throw new RefusedException(
          400, McpSchema.ErrorCodes.PARSE_ERROR, "The body is not one JSON-RPC message.");
    }
  }

  /** An answer to a question that this server has not asked is nothing. */
  private static void acceptLateAnswer(
      HttpSessions.Session session, McpSchema.JSONRPCResponse response) {
    session.protocol().accept(response).onErrorComplete(McpError.class).block();
  }

  private void initialize(MountedCall call, McpSchema.JSONRPCRequest request)
      throws RefusedException, IOException {
    McpStreamableServerSession.McpStreamableServerSessionInit begun;
    McpSchema.InitializeResult result;
    McpSchema.InitializeRequest asked;
    try {
      asked = Json.MAPPER.convertValue(request.params(), INITIALIZE);
      begun = provider.factory().startSession(asked);
      result = begun.initResult().block();
    } catch (RuntimeException e) {
      throw new RefusedException(
          400,
          McpSchema.ErrorCodes.INVALID_PARAMS,
          "The parameters of initialize are not as the protocol says.");
    }
    String kept = Json.MAPPER.writeValueAsString(asked);
    if (kept.length() > MOST_KEPT_OF_CLIENT) {
      throw new RefusedException(
          400,
          McpSchema.ErrorCodes.INVALID_PARAMS,
          "The parameters of initialize are longer than " + MOST_KEPT_OF_CLIENT + " characters.");
    }
    String id = sessions.begin(call.owner(), kept, begun.session(), connectionOf(call));
    call.answer(
        200,
        Map.of("Content-Type", AnswerChannel.JSON, HttpHeaders.MCP_SESSION_ID, id),
        Json.MAPPER.writeValueAsBytes(McpSchema.JSONRPCResponse.result(request.id(), result)));
  }

  private HttpSessions.NewConnection connectionOf(MountedCall call) {
    RestCalls calls = new RestCalls(http, ServerAccess.to(url(call.reachedAt()), call.key()));
    return (sandboxes, watcher) ->
        new Connection(calls, OwnSandbox.ofSession(Map.of()), sandboxes, watcher);
  }

  /** A session as its client left it, when the server was another process. */
  private McpStreamableServerSession revived(String initialize) {
    try {
      var begun = provider.factory().startSession(Json.MAPPER.readValue(initialize, INITIALIZE));
      var _ = begun.initResult().block();
      begun
          .session()
          .accept(
              new McpSchema.JSONRPCNotification(McpSchema.METHOD_NOTIFICATION_INITIALIZED, null))
          .block();
      return begun.session();
    } catch (IOException e) {
      throw new IllegalStateException("a session was written down that can't be read", e);
    }
  }

  private static void answer(
      MountedCall call, HttpSessions.Session session, McpSchema.JSONRPCRequest request)
      throws IOException {
    RunningCall running;
    try {
      running =
          session.connection().running().begin(Requests.key(request.id()), session.connection());
    } catch (Failure e) {
      call.answer(
          200,
          Map.of("Content-Type", AnswerChannel.JSON),
          Json.MAPPER.writeValueAsBytes(Requests.tooMany(request.id(), e)));
      return;
    }
    AnswerChannel channel = new AnswerChannel(call, running, AnswerChannel.Departure.RUNS_ON);
    try {
      Optional<McpSchema.JSONRPCResponse> known =
          Requests.answeredHere(session.connection(), request);
      if (known.isPresent()) {
        channel.answer(200, known.get());
      } else {
        channel.keepAlive();
        session
            .protocol()
            .responseStream(new SessionTransport(channel))
            .handle(request)
            .contextWrite(
                context -> context.put(McpTransportContext.KEY, SessionServer.context(running)))
            .block();
      }
    } finally {
      session.connection().running().end(running);
      session.used();
    }
    channel.finish();
  }

  private HttpSessions.Session session(MountedCall call) throws RefusedException {
    Optional<String> id = call.header(HttpHeaders.MCP_SESSION_ID);
    if (id.isEmpty()) {
      throw RefusedException.invalid(
          "The header Mcp-Session-Id is missing. Send initialize first, and then the id that its"
              + " answer tells; or speak version "
              + STATELESS_VERSION
              + ", which has no sessions.");
    }
    return sessions
        .find(id.get(), call.owner(), this::revived, connectionOf(call))
        .orElseThrow(() ->
            new RefusedException(
                404,
                McpSchema.ErrorCodes.INVALID_REQUEST,
                "There is no such session: it was ended, was idle for too long, or is another"
                    + " key's. Send initialize again."));
  }

  private static void requireForm(MountedCall call) throws RefusedException {
    if (call.header("Origin").filter(origin -> !LOOPBACK.matcher(origin).matches()).isPresent()) {
      throw new RefusedException(
          403,
          McpSchema.ErrorCodes.INVALID_REQUEST,
          "Web pages of other machines may not call this server (their address is in the header"
              + " Origin).");
    }
    String type = call.header("Content-Type").orElse("").toLowerCase(Locale.ROOT);
    if (!type.split(";", 2)[0].strip().equals(AnswerChannel.JSON)) {
      throw new RefusedException(
          415,
          McpSchema.ErrorCodes.INVALID_REQUEST,
          "The body's Content-Type must be application/json.");
    }
    String accept = call.header("Accept").orElse("*/*").toLowerCase(Locale.ROOT);
    boolean both = accept.contains(AnswerChannel.JSON) && accept.contains(AnswerChannel.EVENTS);
    if (!both && !accept.contains("*/*")) {
      throw new RefusedException(
          406,
          McpSchema.ErrorCodes.INVALID_REQUEST,
          "The header Accept must name both application/json and text/event-stream.");
    }
  }

  static String url(InetSocketAddress address) {
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
      return SessionServer.VERSIONS;
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
