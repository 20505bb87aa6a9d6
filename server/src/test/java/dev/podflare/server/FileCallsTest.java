package dev.podflare.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.sandbox.FileContent;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.SequenceInputStream;
import java.net.Socket;
import java.net.URLEncoder;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.OptionalLong;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FileCallsTest {

  private RunningServer server;
  private String files;

  @BeforeEach
  void start() throws Exception {
    server = RunningServer.withKeys();
    files = "/v1/sandboxes/" + server.create() + "/files";
  }

  @AfterEach
  void stop() {
    server.close();
  }

  @Test
  void bytesComeBackAsTheyWent() throws Exception {
    byte[] bytes = randomBytes(3_000_001);
    String path = "/tmp/ä b+c&d.bin";
    String query = "?path=" + URLEncoder.encode(path, StandardCharsets.UTF_8);

    RunningServer.Answer put =
        server.send(
            server
                .request(files + query + "&mode=0640")
                .PUT(HttpRequest.BodyPublishers.ofByteArray(bytes)));
    HttpResponse<InputStream> got = server.stream(server.request(files + query).GET());

    assertThat(put.status()).isEqualTo(200);
    assertThat(put.text("path")).isEqualTo(path);
    assertThat(put.json().required("size").intValue()).isEqualTo(bytes.length);
    assertThat(server.sandboxes.modes).containsExactly(0640);
    assertThat(got.headers().firstValueAsLong("Content-Length")).hasValue(bytes.length);
    assertThat(got.headers().firstValue("Content-Type")).contains("application/octet-stream");
    try (InputStream content = got.body()) {
      assertThat(content.readAllBytes()).isEqualTo(bytes);
    }
  }

  @Test
  void anUploadMayBeChunkedAndEmpty() throws Exception {
    byte[] bytes = randomBytes(300_000);
    server.send(
        server
            .request(files + "?path=chunked")
            .PUT(HttpRequest.BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(bytes))));
    server.send(server.request(files + "?path=empty").PUT(HttpRequest.BodyPublishers.noBody()));

    assertThat(server.sandboxes.file("chunked")).contains(bytes);
    assertThat(server.sandboxes.file("empty")).contains(new byte[0]);
    assertThat(server.get(files + "?path=empty").status()).isEqualTo(200);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "Content-Length: 100\r\n\r\nhalf of it",
        "Transfer-Encoding: chunked\r\n\r\n64\r\nhalf of it",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
      })
  void anUploadThatBreaksOffStoresNothing(String upload) throws Exception {
    String head = RunningServer.head("PUT", files + "?path=broken");

    String answer = server.raw(head.substring(0, head.length() - 2) + upload);

    assertThat(answer).startsWith("HTTP/1.1 400 ").contains("\"code\":\"body_truncated\"");
    assertThat(server.sandboxes.file("broken")).isEmpty();
  }

  @Test
  void aChunkIsNotTakenIntoMemoryWhateverItsLength() throws Exception {
    try (Socket socket = server.connect()) {
      OutputStream out = socket.getOutputStream();
      String head = RunningServer.head("PUT", files + "?path=huge", "Transfer-Encoding: chunked");
      out.write((head + "7fffffff\r\n").getBytes(StandardCharsets.US_ASCII));
      byte[] some = new byte[1 << 20];
      IOException refused = null;
      for (int sent = 0; sent < 64 && refused == null; sent++) {
        try {
          out.write(some);
        } catch (IOException e) {
          refused = e;
        }
      }
      assertThat(refused).as("the server takes no more").isNotNull();
    }
    assertThat(server.sandboxes.file("huge")).isEmpty();
    assertThat(server.get("/v1/healthz").status()).isEqualTo(200);
  }

  @Test
  void aChunkOfEightMebibytesIsTaken() throws Exception {
    byte[] bytes = randomBytes(8 << 20);
    String head = RunningServer.head("PUT", files + "?path=big", "Transfer-Encoding: chunked");
    try (Socket socket = server.connect()) {
      OutputStream out = socket.getOutputStream();
      out.write((head + "800000\r\n").getBytes(StandardCharsets.US_ASCII));
      out.write(bytes);
      out.write("\r\n0\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
      assertThat(socket.getInputStream().readNBytes(12)).asString().isEqualTo("HTTP/1.1 200");
    }

    assertThat(server.sandboxes.file("big")).contains(bytes);
  }

  @Test
  void aDownloadThatTheGuestBreaksOffIsCut() throws Exception {
    InputStream breaking =
        new InputStream() {
          @Override
          public int read() throws IOException {
            throw new IOException("the guest is gone");
          }

          @Override
          public int read(byte[] buffer, int offset, int length) throws IOException {
            return read();
          }
        };
    server.sandboxes.reading =
        path ->
            new FileContent(
                OptionalLong.of(1000),
                new SequenceInputStream(new ByteArrayInputStream(new byte[10]), breaking));

    String answer = server.raw(RunningServer.head("GET", files + "?path=x"));

    assertThat(answer).contains("Content-Length: 1000");
    assertThat(answer.substring(answer.indexOf("\r\n\r\n") + 4)).hasSize(10);
  }

  @Test
  void aDownloadThatBecameShorterIsCut() throws Exception {
    server.sandboxes.reading =
        path -> new FileContent(OptionalLong.of(1000), new ByteArrayInputStream(new byte[10]));

    try (Socket socket = server.connect()) {
      socket
          .getOutputStream()
          .write(RunningServer.head("GET", files + "?path=x").getBytes(StandardCharsets.US_ASCII));
      String answer =
          new String(socket.getInputStream().readAllBytes(), StandardCharsets.ISO_8859_1);
      assertThat(answer.substring(answer.indexOf("\r\n\r\n") + 4)).hasSize(10);
    }
  }

  @Test
  void aFileThatDoesNotKnowItsLengthIsStreamed() throws Exception {
    server.sandboxes.reading =
        path -> new FileContent(OptionalLong.empty(), new ByteArrayInputStream(new byte[100_000]));

    RunningServer.Answer answer = server.get(files + "?path=/proc/self/maps");

    assertThat(answer.body()).hasSize(100_000);
    assertThat(answer.headers().firstValue("Content-Length")).isEmpty();
  }

  @Test
  void listAndRemoveWork() throws Exception {
    server.sandboxes.putFile("a.txt", new byte[5]);

    assertThat(server.get(files + "/list?path=/root").body())
        .isEqualTo(
            "{\"entries\":[{\"name\":\"a.txt\",\"type\":\"file\",\"size\":5,\"mode\":\"0644\","
                + "\"mtime\":1776510028036}],\"truncated\":false}");
    assertThat(server.delete(files + "?path=a.txt&recursive=true").status()).isEqualTo(204);
    assertThat(server.get(files + "?path=a.txt").text("code")).isEqualTo("file_not_found");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "?path=", "?path=%00", "?path=a&path=b", "?path=%f", "?other=1"})
  void aPathThatIsNoneIsRefused(String query) throws Exception {
    String answer = server.raw(RunningServer.head("GET", files + query, "Connection: close"));

    assertThat(answer).startsWith("HTTP/1.1 400 ").contains("\"error\":");
  }

  @ParameterizedTest
  @ValueSource(strings = {"1000", "-1", "9", "rw", "", "99999999999"})
  void aModeThatIsNoneIsRefused(String mode) throws Exception {
    RunningServer.Answer answer =
        server.send(
            server
                .request(files + "?path=x&mode=" + mode)
                .PUT(HttpRequest.BodyPublishers.ofString("x")));

    assertThat(answer.status()).isEqualTo(422);
    assertThat(answer.text("field")).isEqualTo("mode");
    assertThat(server.sandboxes.file("x")).isEmpty();
  }

  private static byte[] randomBytes(int length) {
    byte[] bytes = new byte[length];
    new Random(7).nextBytes(bytes);
    return bytes;
  }
}
