package dev.podflare.sdk;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A small HTTP server whose answers a test scripts, down to the pieces they are sent in. It stands
 * where a Podflare server would, for what a real one can't be made to do on demand: to break off in
 * the middle, to stay silent, to answer nonsense.
 */
final class ScriptedServer implements AutoCloseable {
  static final String SANDBOX = "sbx_0123456789abcdef0123456789abcdef";
  static final String EXEC = "exe_0123456789abcdef0123456789abcdef";
  static final String STREAM_HEAD =
      "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";

  /** A request as it came. */
  record Request(
      String method, String target, Map<String, String> headers, String body, int connection) {
    Fields json() {
      return new Fields(Json.read(body.getBytes(StandardCharsets.UTF_8)));
    }

    String header(String name) {
      return headers.get(name.toLowerCase(Locale.ROOT));
    }

    String line() {
      return method + " " + target;
    }
  }

  /** What a script writes to. */
  static final class Reply {
    private final Socket connection;
    private final InputStream in;
    private final OutputStream out;
    private boolean isOver;

    private Reply(Socket connection, InputStream in) throws IOException {
      this.connection = connection;
      this.in = in;
      this.out = connection.getOutputStream();
    }

    void send(String text) throws IOException {
      send(text.getBytes(StandardCharsets.UTF_8));
    }

    void send(byte[] bytes) throws IOException {
      out.write(bytes);
      out.flush();
    }

    void json(int status, String body, String... headers) throws IOException {
      StringBuilder head = new StringBuilder("HTTP/1.1 " + status + " Something\r\n");
      head.append("Content-Type: application/json\r\n");
      for (String header : headers) {
        head.append(header).append("\r\n");
      }
      byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
      if (status != 204) {
        head.append("Content-Length: ").append(bytes.length).append("\r\n");
      }
      send(head.append("\r\n") + body);
    }

    void created() throws IOException {
      json(200, "{\"id\":\"" + SANDBOX + "\",\"state\":\"ready\"}");
    }

    void nothing() throws IOException {
      json(204, "");
    }

    /** A stream with each line in a packet of its own. */
    void events(String... lines) throws IOException {
      send(STREAM_HEAD);
      for (String line : lines) {
        chunk(line);
      }
      send("0\r\n\r\n");
    }

    void chunk(String line) throws IOException {
      byte[] bytes = (line + "\n").getBytes(StandardCharsets.UTF_8);
      ByteArrayOutputStream chunk = new ByteArrayOutputStream();
      chunk.writeBytes(
          (Integer.toHexString(bytes.length) + "\r\n").getBytes(StandardCharsets.UTF_8));
      chunk.writeBytes(bytes);
      chunk.writeBytes("\r\n".getBytes(StandardCharsets.UTF_8));
      send(chunk.toByteArray());
    }

    /** Breaks the connection here. */
    void drop() throws IOException {
      isOver = true;
      connection.close();
    }

    /** The bytes that the client sends behind its request. */
    InputStream in() {
      isOver = true;
      return in;
    }

    /** Waits until the client has gone away. */
    void awaitClientsEnd() throws IOException {
      isOver = true;
      in.transferTo(OutputStream.nullOutputStream());
    }
  }

  /** Answers a request. */
  interface Script {
    void answer(Request request, Reply reply) throws Exception;
  }

  private final ServerSocket listener;
  private final List<Request> requests = new CopyOnWriteArrayList<>();
  private final ConcurrentLinkedQueue<Socket> open = new ConcurrentLinkedQueue<>();
  private final ConcurrentLinkedQueue<Throwable> failures = new ConcurrentLinkedQueue<>();
  private final AtomicInteger connections = new AtomicInteger();
  private final Script script;

  ScriptedServer(Script script) throws IOException {
    this.script = script;
    this.listener = new ServerSocket(0, 2048, InetAddress.getLoopbackAddress());
    Thread.ofVirtual().start(this::accept);
  }

  String host() {
    return "http://127.0.0.1:" + listener.getLocalPort();
  }

  Client client() {
    return Client.builder().host(host()).apiKey("pf_live_test").build();
  }

  List<Request> requests() {
    return requests;
  }

  List<String> lines() {
    return requests.stream().map(Request::line).toList();
  }

  int connections() {
    return connections.get();
  }

  static String stdout(int seq, String text) {
    return event(
        "stdout",
        seq,
        new String(Json.write(Map.of("t", text)), StandardCharsets.UTF_8)
            .replaceFirst("^\\{\"t\":", "")
            .replaceFirst("}$", ""),
        "");
  }

  static String exit(int seq, int code) {
    String reason = code == 0 ? "ok" : "error";
    return event(
        "exit",
        seq,
        String.valueOf(code),
        ",\"reason\":\"" + reason + "\",\"state_kept\":true,\"duration_ms\":7");
  }

  static String event(String type, int seq, String data, String more) {
    return "{\"type\":\""
        + type
        + "\",\"data\":"
        + data
        + ",\"seq\":"
        + seq
        + ",\"ts\":1776510028036"
        + more
        + "}";
  }

  @Override
  public void close() throws IOException {
    listener.close();
    for (Socket connection : open) {
      connection.close();
    }
    if (!failures.isEmpty()) {
      throw new AssertionError("the script failed", failures.peek());
    }
  }

  private void accept() {
    while (true) {
      try {
        Socket connection = listener.accept();
        connection.setTcpNoDelay(true);
        open.add(connection);
        int number = connections.getAndIncrement();
        Thread.ofVirtual().start(() -> serve(connection, number));
      } catch (IOException closed) {
        return;
      }
    }
  }

  private void serve(Socket connection, int number) {
    try (connection) {
      InputStream in = new java.io.BufferedInputStream(connection.getInputStream());
      while (true) {
        Request request = read(in, number);
        if (request == null) {
          return;
        }
        requests.add(request);
        Reply reply = new Reply(connection, in);
        script.answer(request, reply);
        if (reply.isOver) {
          return;
        }
      }
    } catch (IOException gone) {
      // The client went away, as some tests want it to.
    } catch (Throwable wrong) {
      failures.add(wrong);
    }
  }

  private static Request read(InputStream in, int number) throws IOException {
    String first = line(in);
    if (first.isEmpty()) {
      return null;
    }
    String[] words = first.split(" ", 3);
    Map<String, String> headers = new TreeMap<>();
    for (String header = line(in); !header.isEmpty(); header = line(in)) {
      String[] parts = header.split(":", 2);
      headers.put(parts[0].strip().toLowerCase(Locale.ROOT), parts[1].strip());
    }
    byte[] body;
    if ("chunked".equals(headers.get("transfer-encoding"))) {
      ByteArrayOutputStream all = new ByteArrayOutputStream();
      for (int size = size(in); size > 0; size = size(in)) {
        all.writeBytes(in.readNBytes(size));
        line(in);
      }
      line(in);
      body = all.toByteArray();
    } else {
      body = in.readNBytes(Integer.parseInt(headers.getOrDefault("content-length", "0")));
    }
    return new Request(
        words[0], words[1], headers, new String(body, StandardCharsets.UTF_8), number);
  }

  private static int size(InputStream in) throws IOException {
    String line = line(in);
    if (line.isEmpty()) {
      throw new IOException("the client broke off in the middle of an upload");
    }
    return Integer.parseInt(line, 16);
  }

  private static String line(InputStream in) throws IOException {
    ByteArrayOutputStream line = new ByteArrayOutputStream();
    for (int octet = in.read(); octet >= 0 && octet != '\n'; octet = in.read()) {
      if (octet != '\r') {
        line.write(octet);
      }
    }
    return line.toString(StandardCharsets.UTF_8);
  }
}
