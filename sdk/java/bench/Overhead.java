import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.podflare.sdk.Client;
import dev.podflare.sdk.Sandbox;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;

/**
 * What a call of this SDK adds to a plain call of the JDK's HTTP client, on loopback.
 *
 * <pre>
 * java -cp sdk/java/target/classes:cli/target/podflare/lib/* sdk/java/bench/Overhead.java [CALLS]
 * </pre>
 *
 * Prints the difference of each pair of calls in milliseconds, a line each. Both calls go to a server in a
 * process of its own that answers at once, so that what is measured is the client and not a sandbox. The two
 * take turns, so that a busy machine is as bad for the one as for the other.
 */
public final class Overhead {
  private static final String ID = "sbx_" + "0".repeat(32);
  private static final byte[] INFO =
      ("{\"id\":\"" + ID + "\",\"state\":\"ready\"}").getBytes(StandardCharsets.UTF_8);
  private static final byte[] EVENTS =
      """
      {"type":"stdout","data":"1\\n","seq":0,"ts":1}
      {"type":"exit","data":0,"seq":1,"ts":2,"reason":"ok","state_kept":true,"duration_ms":1}
      """
          .getBytes(StandardCharsets.UTF_8);

  /** The compiler has looked at both ways by then. */
  private static final int WARM_UP = 3000;

  public static void main(String[] arguments) throws Exception {
    if (arguments.length > 0 && arguments[0].equals("serve")) {
      serve();
      return;
    }
    int calls = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 3000;
    ProcessBuilder server =
        new ProcessBuilder(
            ProcessHandle.current().info().command().orElseThrow(),
            "-Dsun.net.httpserver.nodelay=true",
            "-cp",
            System.getProperty("java.class.path"),
            System.getProperty("jdk.launcher.sourcefile", "sdk/java/bench/Overhead.java"),
            "serve");
    Process serving = server.redirectError(ProcessBuilder.Redirect.INHERIT).start();
    try {
      measure("http://127.0.0.1:" + serving.inputReader().readLine(), calls);
    } finally {
      serving.destroy();
    }
  }

  private static void measure(String host, int calls) throws Exception {
    HttpRequest plain =
        HttpRequest.newBuilder(URI.create(host + "/v1/sandboxes/" + ID + "/exec"))
            .header("Authorization", "Bearer bench")
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString("{\"code\":\"1\",\"language\":\"python\"}"))
            .build();
    try (HttpClient http =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        Client client = Client.builder().host(host).apiKey("bench").build()) {
      Sandbox sandbox = client.connect(ID);
      for (int i = -WARM_UP; i < calls; i++) {
        long began = System.nanoTime();
        http.send(plain, BodyHandlers.ofByteArray());
        long between = System.nanoTime();
        sandbox.run("1");
        long ended = System.nanoTime();
        if (i >= 0) {
          System.out.println((ended - between - (between - began)) / 1e6);
        }
      }
    }
  }

  private static void serve() throws IOException {
    HttpServer server =
        HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
    server.createContext("/", Overhead::answer);
    server.start();
    System.out.println(server.getAddress().getPort());
  }

  private static void answer(HttpExchange exchange) throws IOException {
    exchange.getRequestBody().readAllBytes();
    byte[] body = exchange.getRequestURI().getPath().endsWith("/exec") ? EVENTS : INFO;
    exchange.sendResponseHeaders(200, body.length);
    exchange.getResponseBody().write(body);
    exchange.close();
  }
}
