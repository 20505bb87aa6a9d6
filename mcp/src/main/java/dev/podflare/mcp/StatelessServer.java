package dev.podflare.mcp;

import io.modelcontextprotocol.common.McpTransportContext;
import io.modelcontextprotocol.modern.JsonRpc;
import io.modelcontextprotocol.modern.McpException;
import io.modelcontextprotocol.modern.McpSchema;
import io.modelcontextprotocol.modern.server.McpHeaders;
import io.modelcontextprotocol.modern.server.McpRequestContext;
import io.modelcontextprotocol.modern.server.McpServer;
import io.modelcontextprotocol.modern.server.McpSyncResponse;
import io.modelcontextprotocol.modern.server.McpTransportResponse;
import io.modelcontextprotocol.modern.server.RequestStateCodec;
import io.modelcontextprotocol.modern.server.feature.McpSyncResource;
import io.modelcontextprotocol.modern.server.feature.McpSyncResourceRepository;
import io.modelcontextprotocol.modern.server.feature.McpSyncResourceTemplate;
import io.modelcontextprotocol.modern.server.feature.McpSyncTool;
import io.modelcontextprotocol.modern.server.feature.McpSyncToolRepository;
import io.modelcontextprotocol.modern.server.feature.ResourceTemplatesPage;
import io.modelcontextprotocol.modern.server.feature.ResourcesFeature;
import io.modelcontextprotocol.modern.server.feature.ResourcesPage;
import io.modelcontextprotocol.modern.server.feature.ToolsFeature;
import io.modelcontextprotocol.modern.server.feature.ToolsPage;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The tools and resources in the versions of the protocol that have no sessions: each request says
 * its version and what its client can, and is answered for itself.
 *
 * <p>The SDK checks and routes requests, and gives results their form; the transports and the
 * threads are ours. Safe for use by many threads, of which each blocks until its request is done.
 */
final class StatelessServer {

  private static final Tools TOOLS = new Tools(Mode.STATELESS);

  private static final String CALL = "podflare.call";

  /** What is offered changes with the program only. */
  private static final Duration LASTING = Duration.ofHours(1);

  private final McpServer protocol;

  /**
   * @param version what clients are told
   */
  StatelessServer(String version) {
    protocol =
        McpServer.builder()
            .serverInfo(
                McpSchema.Implementation.builder("podflare", version).title("Podflare").build())
            .instructions(TOOLS.instructions())
            .jsonMapper(Json.MAPPER)
            .requestStateCodec(new NoRequestState())
            .feature(
                ToolsFeature.ofSync(
                    new OfferedTools(),
                    Json.MAPPER,
                    new NoSchemas(),
                    LASTING.toMillis(),
                    McpSchema.CacheScope.PUBLIC))
            .feature(
                ResourcesFeature.ofSync(
                    new OfferedResources(), Json.MAPPER, 0, McpSchema.CacheScope.PRIVATE))
            .discoverCache(LASTING.toMillis(), McpSchema.CacheScope.PUBLIC)
            .build();
  }

  /** Whether a request says by itself that it belongs to no session. */
  static boolean isFor(String method, @Nullable Object params) {
    return version(params) != null || method.equals(McpSchema.METHOD_SERVER_DISCOVER);
  }

  /** The version that a message's {@code _meta} names, if it names one. */
  static @Nullable String version(@Nullable Object params) {
    return params instanceof Map<?, ?> named
            && named.get("_meta") instanceof Map<?, ?> meta
            && meta.get(McpSchema.MetaKeys.PROTOCOL_VERSION) instanceof String version
        ? version
        : null;
  }

  /**
   * Answers one request, in this thread.
   *
   * @param messages takes what is told before the answer; may be called by any thread
   * @return the answer, a result or an error
   */
  JsonRpc.JSONRPCResponse answer(
      JsonRpc.JSONRPCRequest request, RunningCall call, Consumer<JsonRpc.JSONRPCMessage> messages) {
    McpTransportContext context =
        McpTransportContext.create(
            // No argument of a tool is repeated in a header.
            Map.of(CALL, call, McpHeaders.TRANSPORT_CONTEXT_KEY, McpHeaders.NOT_MIRRORED));
    McpTransportResponse response = protocol.handleBlocking(context, request).block();
    JsonRpc.JSONRPCMessage last =
        switch (response) {
          case McpTransportResponse.Result result -> result.response();
          case McpTransportResponse.Error error -> error.response();
          case McpTransportResponse.Streaming streaming ->
              streaming
                  .messages()
                  .doOnNext(message -> {
                    if (!(message instanceof JsonRpc.JSONRPCResponse)) {
                      messages.accept(message);
                    }
                  })
                  .filter(JsonRpc.JSONRPCResponse.class::isInstance)
                  .blockLast();
          case null, default -> null;
        };
    if (last instanceof JsonRpc.JSONRPCResponse answer) {
      return answer;
    }
    throw new IllegalStateException("the SDK gave no answer to " + request.method());
  }

  private static RunningCall callOf(McpRequestContext context) {
    if (context.transportContext().get(CALL) instanceof RunningCall call) {
      return call;
    }
    throw new IllegalStateException("a request came by a transport that is not ours");
  }

  private static final class OfferedTools implements McpSyncToolRepository {

    private final List<McpSchema.Tool> described =
        TOOLS.all().stream().map(StatelessServer::described).toList();

    @Override
    public ToolsPage list(McpRequestContext context, @Nullable String cursor) {
      return ToolsPage.of(described);
    }

    @Override
    public McpSyncTool find(McpRequestContext context, String name) {
      ToolSpec spec =
          TOOLS.find(name).orElseThrow(() -> McpException.invalidParams(TOOLS.noSuchTool(name)));
      return McpSyncTool.of(
          described(spec),
          (asked, request) -> {
            RunningCall call = callOf(asked);
            if (asked.progressToken() == null) {
              return McpSyncResponse.result(
                  formed(TOOLS.call(spec, call, request.arguments(), Optional.empty())));
            }
            return McpSyncResponse.streaming(notifier ->
                formed(
                    TOOLS.call(
                        spec,
                        call,
                        request.arguments(),
                        Optional.of(
                            (seconds, message) -> notifier.progress(seconds, null, message)))));
          });
    }
  }

  private static McpSchema.Tool described(ToolSpec spec) {
    return McpSchema.Tool.builder(spec.name(), spec.inputSchema())
        .title(spec.title())
        .description(spec.description())
        .annotations(
            McpSchema.ToolAnnotations.builder()
                .title(spec.title())
                .readOnlyHint(spec.hints().contains(ToolSpec.Hint.READS_ONLY))
                .destructiveHint(spec.hints().contains(ToolSpec.Hint.DESTROYS))
                .openWorldHint(spec.hints().contains(ToolSpec.Hint.MEETS_THE_WORLD))
                .build())
        .build();
  }

  private static McpSchema.CallToolOutcome formed(ToolAnswer answer) {
    McpSchema.CallToolResult.Builder result =
        McpSchema.CallToolResult.builder().isError(answer.isError());
    for (ToolAnswer.Part part : answer.parts()) {
      result.addContent(
          switch (part) {
            case ToolAnswer.Text text -> McpSchema.TextContent.builder(text.text()).build();
            case ToolAnswer.Picture picture ->
                McpSchema.ImageContent.builder(picture.base64(), picture.type()).build();
          });
    }
    answer.structured().ifPresent(result::structuredContent);
    Map<String, Object> meta = answer.meta();
    return (meta == null ? result : result.meta(meta)).build();
  }

  private static final class OfferedResources implements McpSyncResourceRepository {

    private final McpSyncResourceTemplate template =
        McpSyncResourceTemplate.of(
            McpSchema.ResourceTemplate.builder(FileResources.TEMPLATE, FileResources.TEMPLATE_NAME)
                .title(FileResources.TEMPLATE_TITLE)
                .description(FileResources.templateDescription(Mode.STATELESS))
                .build());

    @Override
    public ResourcesPage list(McpRequestContext context, @Nullable String cursor) {
      try {
        return ResourcesPage.of(
            FileResources.homes(callOf(context).caller()).stream()
                .map(home -> McpSchema.Resource.builder(home.address(), home.name()).build())
                .toList());
      } catch (Failure e) {
        throw new McpException(McpSchema.ErrorCodes.INTERNAL_ERROR, e.forModel());
      }
    }

    @Override
    public ResourceTemplatesPage listTemplates(McpRequestContext context, @Nullable String cursor) {
      return new ResourceTemplatesPage(
          List.of(template.definition()), null, LASTING.toMillis(), McpSchema.CacheScope.PUBLIC);
    }

    /** Every address is looked at; what is wrong with one is said when it is read. */
    @Override
    public McpSyncResource find(McpRequestContext context, String address) {
      return McpSyncResource.of(
          (asked, request) -> McpSyncResponse.result(read(callOf(asked).caller(), request.uri())));
    }

    @Override
    public @Nullable McpSyncResourceTemplate findTemplate(McpRequestContext context, String uri) {
      return uri.equals(FileResources.TEMPLATE) ? template : null;
    }

    private static McpSchema.ReadResourceOutcome read(Caller caller, String address) {
      try {
        McpSchema.ResourceContents contents =
            switch (FileResources.read(caller, address)) {
              case FileResources.TextContents text ->
                  McpSchema.TextResourceContents.builder(address, text.text())
                      .mimeType(text.mimeType())
                      .build();
              case FileResources.BinaryContents binary ->
                  McpSchema.BlobResourceContents.builder(address, binary.base64())
                      .mimeType(binary.mimeType())
                      .build();
            };
        return McpSchema.ReadResourceResult.builder(List.of(contents))
            .ttlMs(0)
            .cacheScope(McpSchema.CacheScope.PRIVATE)
            .build();
      } catch (Failure e) {
        boolean wrongAddress =
            e.code().endsWith("_not_found")
                || e.code().equals(Trouble.SANDBOX_ID_MISSING.code())
                || e.code().equals(Trouble.INVALID_PATH.code());
        throw wrongAddress
            ? McpException.invalidParams(e.forModel(), Map.of("uri", address))
            : new McpException(
                McpSchema.ErrorCodes.INTERNAL_ERROR, e.forModel(), Map.of("uri", address));
      }
    }
  }

  /** No tool asks its client anything in between, so there is no state that could come back. */
  private static final class NoRequestState implements RequestStateCodec {

    @Override
    public String seal(McpRequestContext context, String state) {
      throw new IllegalStateException("no tool has such a state");
    }

    @Override
    public @Nullable String open(McpRequestContext context, String sealed) {
      return null;
    }
  }
}
