package dev.podflare.anthropic;

import com.anthropic.client.AnthropicClient;
import com.anthropic.client.okhttp.AnthropicOkHttpClient;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** {@code sdk/conformance/messages_api.py}, which replays whole conversations over HTTP. */
final class FakeMessagesApi implements AutoCloseable {
  private static final Path FOLDER = Path.of("../conformance");

  private final Process process;
  private final String address;

  FakeMessagesApi() throws IOException {
    process =
        new ProcessBuilder("python3", FOLDER.resolve("messages_api.py").toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    address = process.inputReader().readLine();
  }

  /** The names of all conversations. */
  static List<String> names() throws IOException {
    try (Stream<Path> files = Files.list(FOLDER.resolve("conversations"))) {
      return files
          .map(file -> file.getFileName().toString().replace(".json", ""))
          .sorted()
          .toList();
    }
  }

  /** A client that has this conversation. */
  AnthropicClient client(String name) {
    return AnthropicOkHttpClient.builder().apiKey("a-key").baseUrl(address + "/" + name).build();
  }

  /** What the API found wrong with the requests, as JSON; {@code []} for nothing. */
  String failures(String name) throws IOException, InterruptedException {
    URI target = URI.create(address + "/" + name + "/failures");
    try (HttpClient http = HttpClient.newHttpClient()) {
      return http.send(HttpRequest.newBuilder(target).build(), BodyHandlers.ofString()).body();
    }
  }

  /** How many turns a conversation has. */
  static long turns(String name) throws IOException {
    String text = Files.readString(FOLDER.resolve("conversations").resolve(name + ".json"));
    return text.lines().filter(line -> line.contains("\"stop_reason\"")).count();
  }

  @Override
  public void close() {
    process.destroy();
  }
}
