package dev.podflare.mcp;

import io.modelcontextprotocol.client.McpClient;
import io.modelcontextprotocol.client.McpSyncClient;
import io.modelcontextprotocol.client.transport.HttpClientStreamableHttpTransport;
import io.modelcontextprotocol.client.transport.ServerParameters;
import io.modelcontextprotocol.client.transport.StdioClientTransport;
import io.modelcontextprotocol.json.schema.JsonSchemaValidator;
import io.modelcontextprotocol.spec.McpClientTransport;
import io.modelcontextprotocol.spec.McpSchema;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The protocol's own client, over one transport or the other. */
final class Client implements AutoCloseable {

  /** The two ways to come in. */
  enum Way {
    STDIO,
    HTTP
  }

  final List<McpSchema.ProgressNotification> progress = new CopyOnWriteArrayList<>();
  final McpSyncClient protocol;

  private Client(McpClientTransport transport) {
    protocol =
        McpClient.sync(transport)
            .requestTimeout(Duration.ofSeconds(30))
            .initializationTimeout(Duration.ofSeconds(30))
            .clientInfo(McpSchema.Implementation.builder("test", "1").build())
            .jsonSchemaValidator(new AllValid())
            .progressConsumer(progress::add)
            .build();
    protocol.initialize();
  }

  static Client of(Way way, FakePodflare podflare) {
    return new Client(way == Way.STDIO ? stdio(podflare.url()) : http(podflare.url()));
  }

  /**
   * The program of {@link StdioProgram} in a process of its own, as a client's user configures it.
   */
  private static McpClientTransport stdio(String url) {
    return new StdioClientTransport(
        ServerParameters.builder(Path.of(System.getProperty("java.home"), "bin", "java").toString())
            .args(
                "-XX:TieredStopAtLevel=1",
                "-cp",
                System.getProperty("java.class.path"),
                StdioProgram.class.getName(),
                url,
                FakePodflare.KEY)
            .build(),
        Json.MAPPER);
  }

  private static McpClientTransport http(String url) {
    return HttpClientStreamableHttpTransport.builder(url)
        .endpoint("/mcp")
        .jsonMapper(Json.MAPPER)
        .addHttpRequestCustomizer((request, _, _, _, _) ->
            request.setHeader("Authorization", "Bearer " + FakePodflare.KEY))
        .build();
  }

  McpSchema.CallToolResult call(String tool, Map<String, Object> arguments) {
    return protocol.callTool(McpSchema.CallToolRequest.builder(tool).arguments(arguments).build());
  }

  String text(String tool, Map<String, Object> arguments) {
    return textOf(call(tool, arguments));
  }

  JsonNode json(String tool, Map<String, Object> arguments) {
    return JsonMapper.shared().readTree(text(tool, arguments));
  }

  static String textOf(McpSchema.CallToolResult result) {
    return ((McpSchema.TextContent) result.content().getFirst()).text();
  }

  @Override
  public void close() {
    protocol.closeGracefully();
  }

  private static final class AllValid implements JsonSchemaValidator {
    @Override
    public ValidationResponse validate(Map<String, Object> schema, Object content) {
      return ValidationResponse.asValid("");
    }
  }
}
