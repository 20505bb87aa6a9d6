package dev.podflare.mcp;

import io.modelcontextprotocol.common.McpTransportContext;
import io.modelcontextprotocol.server.McpServer;
import io.modelcontextprotocol.server.McpServerFeatures;
import io.modelcontextprotocol.server.McpSyncServerExchange;
import io.modelcontextprotocol.spec.McpError;
import io.modelcontextprotocol.spec.McpSchema;
import io.modelcontextprotocol.spec.McpServerTransportProvider;
import io.modelcontextprotocol.spec.McpStreamableServerTransportProvider;
import io.modelcontextprotocol.spec.ProtocolVersions;
import io.modelcontextprotocol.util.McpUriTemplateManager;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import org.jspecify.annotations.Nullable;

/** The tools and resources in the versions of the protocol that have sessions. */
final class SessionServer {

  /** The versions of the protocol that begin with {@code initialize}. */
  static final List<String> VERSIONS =
      List.of(
          ProtocolVersions.MCP_2024_11_05,
          ProtocolVersions.MCP_2025_03_26,
          ProtocolVersions.MCP_2025_06_18,
          ProtocolVersions.MCP_2025_11_25);

  static final Tools TOOLS = new Tools(Mode.SESSION);

  /** Under which a transport passes on the call that it has begun. */
  private static final String CALL = "podflare.call";

  private SessionServer() {}

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
        .instructions(TOOLS.instructions())
        .capabilities(
            McpSchema.ServerCapabilities.builder().tools(false).resources(false, false).build())
        .jsonMapper(Json.MAPPER)
        .jsonSchemaValidator(new NoSchemas())
        // The tools check their arguments themselves, and say what is wrong in words for a model.
        .validateToolInputs(false)
        // Each request has a virtual thread of its own already.
        .immediateExecution(true)
        .uriTemplateManagerFactory(Addresses::new)
        .resourceTemplates(
            new McpServerFeatures.SyncResourceTemplateSpecification(
                McpSchema.ResourceTemplate.builder(
                        FileResources.TEMPLATE, FileResources.TEMPLATE_NAME)
                    .title(FileResources.TEMPLATE_TITLE)
                    .description(FileResources.templateDescription(Mode.SESSION))
                    .build(),
                (exchange, request) -> read(callOf(exchange).caller(), request.uri())))
        .tools(
            TOOLS.all().stream()
                .map(spec ->
                    new McpServerFeatures.SyncToolSpecification(
                        described(spec),
                        (exchange, request) ->
                            formed(
                                TOOLS.call(
                                    spec,
                                    callOf(exchange),
                                    request.arguments(),
                                    watcher(exchange, request.progressToken())))))
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

  /**
   * Without structured content: its client knows its own sandbox by no id, and some clients show
   * the structured content to the model in place of the pictures.
   */
  private static McpSchema.CallToolResult formed(ToolAnswer answer) {
    return McpSchema.CallToolResult.builder(
            answer.parts().stream()
                .<McpSchema.Content>map(part ->
                    switch (part) {
                      case ToolAnswer.Text text ->
                          McpSchema.TextContent.builder(text.text()).build();
                      case ToolAnswer.Picture picture ->
                          McpSchema.ImageContent.builder(picture.base64(), picture.type()).build();
                    })
                .toList())
        .isError(answer.isError())
        .meta(answer.meta())
        .build();
  }

  /** The resources of a client's own sandbox. */
  static McpSchema.ListResourcesResult resources(Caller caller) {
    return McpSchema.ListResourcesResult.builder(
            FileResources.filesOfOwn(caller).stream()
                .map(file ->
                    McpSchema.Resource.builder(file.address(), file.name())
                        .size(file.size())
                        .build())
                .toList())
        .build();
  }

  private static McpSchema.ReadResourceResult read(Caller caller, String address) {
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
      return McpSchema.ReadResourceResult.builder(List.of(contents)).build();
    } catch (Failure e) {
      int code =
          e.code().endsWith("_not_found")
              ? McpSchema.ErrorCodes.RESOURCE_NOT_FOUND
              : McpSchema.ErrorCodes.INTERNAL_ERROR;
      throw McpError.builder(code).message(e.forModel()).data(Map.of("uri", address)).build();
    }
  }

  /**
   * How the SDK finds the template that an address belongs to; its own takes no slash in a path.
   */
  private record Addresses(String template) implements McpUriTemplateManager {

    @Override
    public List<String> getVariableNames() {
      return isUriTemplate(template) ? List.of("sandbox_id", "path") : List.of();
    }

    @Override
    public Map<String, String> extractVariableValues(String address) {
      Optional<Matcher> parts = FileResources.parts(address);
      return parts.isPresent()
          ? Map.of("sandbox_id", parts.get().group(1), "path", parts.get().group(2))
          : Map.of();
    }

    @Override
    public boolean matches(String address) {
      return isUriTemplate(template) ? address.startsWith("podflare://") : template.equals(address);
    }

    @Override
    public boolean isUriTemplate(String text) {
      return text.contains("{");
    }
  }
}
