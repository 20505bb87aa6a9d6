package dev.podflare.mcp;

import io.modelcontextprotocol.common.McpTransportContext;
import io.modelcontextprotocol.json.schema.JsonSchemaValidator;
import io.modelcontextprotocol.server.McpServer;
import io.modelcontextprotocol.server.McpServerFeatures;
import io.modelcontextprotocol.server.McpSyncServerExchange;
import io.modelcontextprotocol.spec.McpSchema;
import io.modelcontextprotocol.spec.McpServerTransportProvider;
import io.modelcontextprotocol.spec.McpStreamableServerTransportProvider;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** The tools and resources, given to the protocol's SDK. */
final class ToolServer {

  private static final System.Logger LOG = System.getLogger(ToolServer.class.getName());

  /** Under which a transport passes on the call that it has begun. */
  private static final String CALL = "podflare.call";

  /** Names that are understood, and not told to models. */
  private static final Map<String, Set<String>> OTHER_NAMES = Map.of("run_bash", Set.of("code"));

  private static final String INSTRUCTIONS =
      """
      Runs code in isolated Linux machines (sandboxes) with a Python process that stays alive between \
      calls. Without sandbox_id, every tool uses this conversation's own sandbox, which is made at its \
      first use: begin with run_python. To try several ideas, set up once, then fork, run one idea in \
      each child, diff, and merge_into the best.\
      """;

  private ToolServer() {}

  /** All tools, in the order in which a model reads them. */
  static List<ToolSpec> tools() {
    return Stream.of(ExecTools.all(), FileTools.all(), BranchTools.all(), SandboxTools.all())
        .flatMap(List::stream)
        .toList();
  }

  /** Serves one client. */
  static void start(McpServerTransportProvider transport, String version) {
    configured(McpServer.sync(transport), version).build();
  }

  /** Serves many. */
  static void start(McpStreamableServerTransportProvider transport, String version) {
    configured(McpServer.sync(transport), version).build();
  }

  private static McpServer.SyncSpecification<?> configured(
      McpServer.SyncSpecification<?> server, String version) {
    return server
        .serverInfo(McpSchema.Implementation.builder("podflare", version).title("Podflare").build())
        .instructions(INSTRUCTIONS)
        .capabilities(
            McpSchema.ServerCapabilities.builder().tools(false).resources(false, false).build())
        .jsonMapper(Json.MAPPER)
        .jsonSchemaValidator(new NoSchemas())
        // The tools check their arguments themselves, and say what is wrong in words for a model.
        .validateToolInputs(false)
        // Each request has a virtual thread of its own already.
        .immediateExecution(true)
        .uriTemplateManagerFactory(FileResources.Addresses::new)
        .resourceTemplates(
            new McpServerFeatures.SyncResourceTemplateSpecification(
                FileResources.template(),
                (exchange, request) ->
                    FileResources.read(callOf(exchange).connection(), request.uri())))
        .tools(
            tools().stream()
                .map(spec ->
                    new McpServerFeatures.SyncToolSpecification(
                        spec.tool(), (exchange, request) -> answer(spec, exchange, request)))
                .toList());
  }

  /** What a transport passes along with a request. */
  static McpTransportContext context(RunningCall call) {
    return McpTransportContext.create(Map.of(CALL, call));
  }

  private static RunningCall callOf(McpSyncServerExchange exchange) {
    if (exchange.transportContext().get(CALL) instanceof RunningCall call) {
      return call;
    }
    throw new IllegalStateException("a request came by a transport that is not ours");
  }

  private static McpSchema.CallToolResult answer(
      ToolSpec spec, McpSyncServerExchange exchange, McpSchema.CallToolRequest request) {
    RunningCall running = callOf(exchange);
    try {
      Arguments arguments = Arguments.of(request.arguments(), namesOf(spec));
      return doneBy(
          spec, new ToolCall(running, arguments, watcher(exchange, request.progressToken())));
    } catch (Failure e) {
      return Answers.failed(e);
    } catch (RuntimeException e) {
      LOG.log(System.Logger.Level.ERROR, "the tool " + spec.name() + " broke", e);
      throw e;
    }
  }

  private static McpSchema.CallToolResult doneBy(ToolSpec spec, ToolCall call) {
    Optional<String> own = call.connection().ownIfAny();
    try {
      return spec.work().on(call);
    } catch (Failure e) {
      boolean ownIsMeant =
          e.code().equals(Trouble.SANDBOX_NOT_FOUND.code())
              && own.isPresent()
              && !call.arguments().has("sandbox_id");
      if (ownIsMeant && !call.calls().exists(own.get())) {
        call.connection().gone(own.get());
        throw Failure.of(Trouble.OWN_SANDBOX_GONE);
      }
      throw e;
    }
  }

  private static Set<String> namesOf(ToolSpec spec) {
    return Stream.concat(
            spec.parameters().stream().map(ToolSpec.Parameter::name),
            OTHER_NAMES.getOrDefault(spec.name(), Set.of()).stream())
        .collect(Collectors.toSet());
  }

  private static Optional<ToolCall.Watcher> watcher(
      McpSyncServerExchange exchange, @Nullable Object token) {
    return Optional.ofNullable(token)
        .map(known ->
            (seconds, message) ->
                exchange.progressNotification(
                    McpSchema.ProgressNotification.builder(known, seconds)
                        .message(message)
                        .build()));
  }

  /**
   * Finds all in order: the tools' answers have no schema, and their arguments are checked there.
   */
  private static final class NoSchemas implements JsonSchemaValidator {
    @Override
    public ValidationResponse validate(Map<String, Object> schema, Object content) {
      return ValidationResponse.asValid("");
    }

    @Override
    public ValidationResponse validateSchema(Map<String, Object> schema) {
      return ValidationResponse.asValid("");
    }
  }
}
