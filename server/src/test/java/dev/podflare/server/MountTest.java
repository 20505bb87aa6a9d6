package dev.podflare.server;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.InputStream;
import java.io.OutputStream;
import java.net.http.HttpRequest;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

class MountTest {

  private static final int MOST_BYTES = 1 << 20;

  /** Tells what it was given; a body of "stream" is answered in two pieces. */
  private static final class Mirror implements Mount {
    @Override
    public String path() {
      return "/mirror";
    }

    @Override
    public Set<String> methods() {
      return Set.of("POST");
    }

    @Override
    public void answer(MountedCall call) throws Exception {
      String body = new String(call.body(MOST_BYTES), StandardCharsets.UTF_8);
      if (body.equals("stream")) {
        OutputStream out = call.stream(200, Map.of("Content-Type", "text/event-stream"));
        out.write('a');
        out.flush();
        out.write('b');
        out.close();
        return;
      }
      if (body.equals("break")) {
        throw new IllegalStateException("it broke");
      }
      String told =
          String.join(
              " ",
              call.method(),
              call.key(),
              String.valueOf(call.owner().isEmpty()),
              String.valueOf(call.reachedAt().getPort()),
              call.header("X-Mark").orElse("none"),
              String.valueOf(body.length()));
      call.answer(201, Map.of("X-Kind", "mirror"), told.getBytes(StandardCharsets.UTF_8));
    }
  }

  private static HttpRequest.Builder posting(RunningServer server, String body) {
    return server.request("/mirror").POST(HttpRequest.BodyPublishers.ofString(body));
  }

  @Test
  void aMountIsToldWhoCallsAndWhatAndWhere() throws Exception {
    try (RunningServer server = RunningServer.withMount(new Mirror())) {
      RunningServer.Answer answer = server.send(posting(server, "four").header("X-Mark", "m"));

      assertThat(answer.status()).isEqualTo(201);
      assertThat(answer.headers().firstValue("X-Kind")).hasValue("mirror");
      assertThat(answer.headers().firstValue("X-Request-Id")).isPresent();
      assertThat(answer.body())
          .isEqualTo(
              "POST %s false %d m 4".formatted(RunningServer.KEY, server.address().getPort()));
    }
  }

  @Test
  void nobodyReachesAMountWithoutAKey() throws Exception {
    try (RunningServer server = RunningServer.withMount(new Mirror())) {
      String request = "POST /mirror HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";

      assertThat(server.raw(request + "\r\n"))
          .startsWith("HTTP/1.1 401 ")
          .contains("missing_api_key");
      assertThat(server.raw(request + "Authorization: Bearer pf_live_three\r\n\r\n"))
          .startsWith("HTTP/1.1 401 ")
          .contains("invalid_api_key");
    }
  }

  @Test
  void noWebPageReachesAMountOfAServerWithoutKeys() throws Exception {
    try (RunningServer server = RunningServer.withMountAndNoKeys(new Mirror())) {
      String request = "POST /mirror HTTP/1.1\r\nConnection: close\r\n";

      assertThat(server.raw(request + "Host: evil.example\r\n\r\n")).startsWith("HTTP/1.1 403 ");
      assertThat(server.raw(request + "Host: localhost\r\nOrigin: http://evil.example\r\n\r\n"))
          .startsWith("HTTP/1.1 403 ");
      assertThat(server.raw(request + "Host: localhost\r\n\r\n")).startsWith("HTTP/1.1 201 ");
    }
  }

  @Test
  void anotherMethodIsAnsweredWithTheRightOne() throws Exception {
    try (RunningServer server = RunningServer.withMount(new Mirror())) {
      RunningServer.Answer answer = server.get("/mirror");

      assertThat(answer.status()).isEqualTo(405);
      assertThat(answer.headers().firstValue("Allow")).hasValue("POST");
    }
  }

  @Test
  void aBodyBeyondTheMountsLimitIsRefused() throws Exception {
    try (RunningServer server = RunningServer.withMount(new Mirror())) {
      assertThat(server.send(posting(server, "x".repeat(MOST_BYTES))).status()).isEqualTo(201);
      RunningServer.Answer answer = server.send(posting(server, "x".repeat(MOST_BYTES + 1)));

      assertThat(answer.status()).isEqualTo(413);
      assertThat(answer.text("code")).isEqualTo("body_too_large");
    }
  }

  @Test
  void anAnswerMayComePieceByPiece() throws Exception {
    try (RunningServer server = RunningServer.withMount(new Mirror());
        InputStream pieces = server.stream(posting(server, "stream")).body()) {
      assertThat(pieces.read()).isEqualTo('a');
      assertThat(pieces.read()).isEqualTo('b');
      assertThat(pieces.read()).isEqualTo(-1);
    }
  }

  @Test
  void whatBreaksInAMountIsTheServersFault() throws Exception {
    try (RunningServer server = RunningServer.withMount(new Mirror())) {
      RunningServer.Answer answer = server.send(posting(server, "break"));

      assertThat(answer.status()).isEqualTo(500);
      assertThat(answer.text("code")).isEqualTo("internal");
    }
  }

  @Test
  void callsOfAMountAreCounted() throws Exception {
    try (RunningServer server = RunningServer.withMount(new Mirror())) {
      var _ = server.send(posting(server, ""));

      assertThat(server.get("/metrics").body()).contains("route=\"/mirror\"");
    }
  }
}
