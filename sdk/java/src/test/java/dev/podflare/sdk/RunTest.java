package dev.podflare.sdk;

import static dev.podflare.sdk.ScriptedServer.EXEC;
import static dev.podflare.sdk.ScriptedServer.SANDBOX;
import static dev.podflare.sdk.ScriptedServer.event;
import static dev.podflare.sdk.ScriptedServer.exit;
import static dev.podflare.sdk.ScriptedServer.stdout;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Flow;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Running code, against a server that does what the test says. */
class RunTest {
  private static final String EXEC_PATH = "/v1/sandboxes/" + SANDBOX + "/exec";

  @Test
  void aResultHasAllThatTheEventsSaid() throws Exception {
    String figure = "{\"text/plain\":\"<Figure>\",\"image/png\":\"aGk=\"}";
    String error = "{\"name\":\"E\",\"value\":\"v\",\"traceback\":\"t\"}";
    try (ScriptedServer server =
            serving(
                stdout(0, "a"),
                event("stderr", 1, "\"oh\"", ""),
                stdout(2, "ü🎉\n"),
                event("result", 3, figure, ""),
                event("news", 4, "{\"of\":\"later versions\"}", ""),
                event("error", 5, error, ""),
                exit(6, 1));
        Client client = server.client();
        Sandbox sb = client.create()) {
      ExecResult result = sb.run("code");

      assertThat(result.stdout()).isEqualTo("aü🎉\n");
      assertThat(result.stderr()).isEqualTo("oh");
      assertThat(result.exitCode()).isEqualTo(1);
      assertThat(result.isOk()).isFalse();
      assertThat(result.result().orElseThrow().text()).isEqualTo("<Figure>");
      assertThat(result.result().orElseThrow().png().orElseThrow()).asString().isEqualTo("hi");
      assertThat(result.error()).contains(new ExecError("E", "v", "t"));
      assertThat(result.reason()).isEqualTo(ExitReason.ERROR);
      assertThat(result.stateKept()).isTrue();
      assertThat(result.duration()).isEqualTo(Duration.ofMillis(7));
    }
  }

  @Test
  void whatIsAskedForIsSentAndWhatIsNotIsLeftOut() throws Exception {
    try (ScriptedServer server = serving(exit(0, 0));
        Client client = server.client();
        Sandbox sb = client.create()) {
      sb.run("plain");
      sb.run(
          "echo",
          o ->
              o.language(Language.BASH).timeout(Duration.ofMillis(1500)).env("A", "b").cwd("/tmp"));

      List<ScriptedServer.Request> execs = execs(server);
      assertThat(execs.get(0).body()).isEqualTo("{\"code\":\"plain\",\"language\":\"python\"}");
      assertThat(execs.get(1).body())
          .isEqualTo(
              "{\"code\":\"echo\",\"language\":\"bash\",\"timeout_seconds\":1.5,"
                  + "\"env\":{\"A\":\"b\"},\"cwd\":\"/tmp\"}");
      assertThat(execs.get(0).header("Authorization")).isEqualTo("Bearer pf_live_test");
      assertThat(execs.get(0).header("User-Agent")).startsWith("podflare-java/");
    }
  }

  @Test
  void callbacksAreToldWhileTheCodeRuns() throws Exception {
    CountDownLatch heard = new CountDownLatch(1);
    try (ScriptedServer server =
            new ScriptedServer((request, reply) -> {
              if (!request.target().endsWith("/exec")) {
                createdOrClosed(request, reply);
                return;
              }
              reply.send(ScriptedServer.STREAM_HEAD);
              reply.chunk(stdout(0, "first"));
              assertThat(heard.await(60, TimeUnit.SECONDS)).isTrue();
              reply.chunk(exit(1, 0));
              reply.send("0\r\n\r\n");
            });
        Client client = server.client();
        Sandbox sb = client.create()) {
      List<String> pieces = new ArrayList<>();
      sb.run(
          "code",
          o ->
              o.onStdout(text -> {
                pieces.add(text);
                heard.countDown();
              }));
      assertThat(pieces).containsExactly("first");
    }
  }

  @Test
  void manyRunsUseOneConnection() throws Exception {
    try (ScriptedServer server = serving(stdout(0, "x"), exit(1, 0));
        Client client = server.client();
        Sandbox sb = client.create()) {
      for (int i = 0; i < 20; i++) {
        sb.run("code");
      }
      assertThat(server.connections()).isEqualTo(1);
    }
  }

  @Test
  void codeIsNeverSentTwice() throws Exception {
    try (ScriptedServer server =
            new ScriptedServer((request, reply) -> {
              if (request.target().endsWith("/exec")) {
                reply.drop();
              } else {
                createdOrClosed(request, reply);
              }
            });
        Client client = server.client();
        Sandbox sb = client.create()) {
      assertThatThrownBy(() -> sb.run("code"))
          .isInstanceOfSatisfying(
              ConnectionException.class,
              e -> {
                assertThat(e.code()).contains("outcome_unknown");
                assertThat(e.status()).isEmpty();
                assertThat(e.hint()).isPresent();
              });
      assertThat(execs(server)).hasSize(1);
    }
  }

  @Test
  @Timeout(120)
  void aStreamThatBreaksIsGoneOnWithBehindItsLastEvent() throws Exception {
    AtomicInteger attachments = new AtomicInteger();
    Semaphore heard = new Semaphore(0);
    try (ScriptedServer server =
            new ScriptedServer((request, reply) -> {
              if (request.target().endsWith("/exec")) {
                reply.send(
                    ScriptedServer.STREAM_HEAD.replace(
                        "\r\n\r\n", "\r\nX-Exec-Id: " + EXEC + "\r\n\r\n"));
                reply.chunk(stdout(0, "a"));
                reply.chunk(stdout(1, "b"));
                heard.acquire(2);
                reply.drop();
              } else if (request.target().contains("/execs/")) {
                if (attachments.getAndIncrement() == 0) {
                  reply.send(ScriptedServer.STREAM_HEAD);
                  reply.chunk(stdout(2, "c"));
                  heard.acquire();
                  reply.send("9999\r\n{\"type\":\"stdout\",\"da"); // Half an event.
                  reply.drop();
                } else {
                  reply.events(stdout(3, "d"), exit(4, 0));
                }
              } else {
                createdOrClosed(request, reply);
              }
            });
        Client client = server.client();
        Sandbox sb = client.create()) {
      ExecResult result = sb.run("code", options -> options.onStdout(_ -> heard.release()));
      assertThat(result.stdout()).isEqualTo("abcd");
      String stream = "GET /v1/sandboxes/" + SANDBOX + "/execs/" + EXEC + "/stream?from=";
      assertThat(server.lines()).contains(stream + 2, stream + 3);
      assertThat(execs(server)).hasSize(1);
    }
  }

  @Test
  @Timeout(120)
  void aStreamThatBreaksRightBehindItsHeadIsGoneOnWith() throws Exception {
    try (ScriptedServer server =
            new ScriptedServer((request, reply) -> {
              if (request.target().endsWith("/exec")) {
                reply.send(
                    ScriptedServer.STREAM_HEAD.replace(
                        "\r\n\r\n", "\r\nX-Exec-Id: " + EXEC + "\r\n\r\n"));
                reply.drop();
              } else if (request.target().contains("/execs/")) {
                reply.events(stdout(0, "a"), exit(1, 0));
              } else {
                createdOrClosed(request, reply);
              }
            });
        Client client = server.client();
        Sandbox sb = client.create()) {
      // Which of the two comes first to the client's ears, the head or the end, is a race.
      for (int i = 0; i < 50; i++) {
        assertThat(sb.run("code").stdout()).isEqualTo("a");
      }
      assertThat(execs(server)).hasSize(50);
    }
  }

  @Test
  @Timeout(120)
  void anExecThatIsNotKeptHasAnUnknownOutcome() throws Exception {
    Semaphore heard = new Semaphore(0);
    try (ScriptedServer server =
            new ScriptedServer((request, reply) -> {
              if (request.target().endsWith("/exec")) {
                reply.send(
                    ScriptedServer.STREAM_HEAD.replace(
                        "\r\n\r\n", "\r\nX-Exec-Id: " + EXEC + "\r\n\r\n"));
                reply.chunk(stdout(0, "a"));
                heard.acquire();
                reply.drop();
              } else if (request.target().contains("/execs/")) {
                reply.json(404, "{\"error\":\"no\",\"code\":\"exec_not_found\"}");
              } else {
                createdOrClosed(request, reply);
              }
            });
        Client client = server.client();
        Sandbox sb = client.create()) {
      assertThatThrownBy(() -> sb.run("code", options -> options.onStdout(_ -> heard.release())))
          .isInstanceOf(ConnectionException.class)
          .hasMessageContaining("outcome of the exec is unknown");
    }
  }

  @Test
  void whatIsNoEventIsAServersError() throws Exception {
    for (String line :
        List.of("nonsense", "[1]", "{\"type\":\"exit\",\"seq\":0}", "{\"type\":3}")) {
      try (ScriptedServer server = serving(line);
          Client client = server.client();
          Sandbox sb = client.create()) {
        assertThatThrownBy(() -> sb.run("code")).as(line).isInstanceOf(ServerException.class);
      }
    }
  }

  @Test
  void aStreamThatIsLeftEarlyClosesItsConnection() throws Exception {
    CountDownLatch gone = new CountDownLatch(1);
    try (ScriptedServer server =
            new ScriptedServer((request, reply) -> {
              if (request.target().endsWith("/exec")) {
                reply.send(ScriptedServer.STREAM_HEAD);
                reply.chunk(stdout(0, "a"));
                reply.awaitClientsEnd();
                gone.countDown();
              } else {
                createdOrClosed(request, reply);
              }
            });
        Client client = server.client();
        Sandbox sb = client.create()) {
      try (Stream<Event> events = sb.stream("code")) {
        assertThat(events.findFirst()).get().isInstanceOf(Event.Stdout.class);
      }
      assertThat(gone.await(60, TimeUnit.SECONDS)).isTrue();
    }
  }

  /** A server whose code says something and runs on until it is interrupted. */
  private static ScriptedServer running(CountDownLatch interrupted) throws Exception {
    return new ScriptedServer((request, reply) -> {
      if (request.target().endsWith("/interrupt")) {
        interrupted.countDown();
        reply.nothing();
      } else if (request.target().endsWith("/exec") || request.target().contains("/stream")) {
        reply.send(streamHead());
        reply.chunk(stdout(0, "a"));
        reply.awaitClientsEnd();
      } else {
        createdOrClosed(request, reply);
      }
    });
  }

  private static String streamHead() {
    return ScriptedServer.STREAM_HEAD.replace("\r\n\r\n", "\r\nX-Exec-Id: " + EXEC + "\r\n\r\n");
  }

  private static void assertInterruptedOnce(ScriptedServer server, CountDownLatch interrupted)
      throws Exception {
    assertThat(interrupted.await(60, TimeUnit.SECONDS)).isTrue();
    assertThat(server.lines().stream().filter(line -> line.endsWith("/interrupt")))
        .containsExactly("POST /v1/sandboxes/" + SANDBOX + "/execs/" + EXEC + "/interrupt");
  }

  @Test
  @Timeout(120)
  void aCallThatIsLeftEarlyInterruptsItsCode() throws Exception {
    List<Consumer<Sandbox>> ways =
        List.of(
            sb ->
                assertThatThrownBy(() ->
                        sb.run(
                            "code",
                            o ->
                                o.onStdout(text -> {
                                  throw new IllegalStateException("mine");
                                })))
                    .hasMessage("mine"),
            sb -> {
              try (Stream<Event> events = sb.stream("code")) {
                assertThat(events.findFirst()).isPresent();
              }
            },
            sb ->
                assertThatThrownBy(
                        () -> {
                          Thread caller = Thread.currentThread();
                          sb.run("code", o -> o.onStdout(text -> caller.interrupt()));
                        })
                    .isInstanceOfSatisfying(
                        ConnectionException.class,
                        e -> {
                          assertThat(Thread.interrupted()).isTrue();
                          assertThat(e.code()).contains("interrupted");
                        }),
            sb -> begun(sb).cancel(true),
            sb -> begun(sb).complete(null),
            sb -> begun(sb).completeExceptionally(new IllegalStateException("mine")),
            sb -> begun(sb).orTimeout(1, TimeUnit.MILLISECONDS),
            sb -> begun(sb).completeOnTimeout(null, 1, TimeUnit.MILLISECONDS));
    for (Consumer<Sandbox> way : ways) {
      CountDownLatch interrupted = new CountDownLatch(1);
      try (ScriptedServer server = running(interrupted);
          Client client = server.client();
          Sandbox sb = client.create()) {
        way.accept(sb);
        assertInterruptedOnce(server, interrupted);
      }
    }
  }

  /** Code on another thread that has said its first word. */
  private static CompletableFuture<ExecResult> begun(Sandbox sb) {
    CountDownLatch heard = new CountDownLatch(1);
    CompletableFuture<ExecResult> result =
        sb.runAsync("code", ExecOptions.builder().onStdout(text -> heard.countDown()).build());
    try {
      assertThat(heard.await(60, TimeUnit.SECONDS)).isTrue();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
    return result;
  }

  @Test
  @Timeout(120)
  void anInterruptThatIsNotAnsweredKeepsNobodyForLong() throws Exception {
    Semaphore asked = new Semaphore(0);
    try (ScriptedServer server =
            new ScriptedServer((request, reply) -> {
              if (request.target().endsWith("/interrupt")) {
                asked.release();
                reply.awaitClientsEnd();
              } else if (request.target().endsWith("/exec")) {
                reply.send(streamHead());
                reply.chunk(stdout(0, "a"));
                reply.awaitClientsEnd();
              } else {
                createdOrClosed(request, reply);
              }
            });
        Client client = server.client();
        Sandbox sb = client.create()) {
      long began = System.nanoTime();
      try (Stream<Event> events = sb.stream("code")) {
        assertThat(events.findFirst()).isPresent();
      }
      assertThat(Duration.ofNanos(System.nanoTime() - began))
          .isBetween(EventReader.LONGEST_INTERRUPT, Duration.ofSeconds(60));

      CompletableFuture<ExecResult> result = begun(sb);
      Listener listener = new Listener(3);
      sb.publish("code", ExecOptions.python()).subscribe(listener);
      assertThat(listener.heard.await(60, TimeUnit.SECONDS)).isTrue();
      long left = System.nanoTime();
      result.cancel(true);
      listener.subscription.get().cancel();
      assertThat(Duration.ofNanos(System.nanoTime() - left))
          .isLessThan(EventReader.LONGEST_INTERRUPT);
      assertThat(asked.tryAcquire(3, 60, TimeUnit.SECONDS)).isTrue();
    }
  }

  @Test
  @Timeout(120)
  void codeThatWasToBeLeftRunningIsLeftRunning() throws Exception {
    try (ScriptedServer server = running(new CountDownLatch(1));
        Client client = server.client();
        Sandbox sb = client.create()) {
      try (Stream<Event> events = sb.stream("code", o -> o.detach(true))) {
        assertThat(events.findFirst()).isPresent();
      }
      try (Stream<Event> events = new Exec(sb, EXEC).stream()) {
        assertThat(events.findFirst()).isPresent();
      }
      assertThat(server.lines()).noneMatch(line -> line.endsWith("/interrupt"));
    }
  }

  @Test
  @Timeout(120)
  void aSilentStreamIsKeptByItsHeartbeatAndADeadOneIsLeft() throws Exception {
    try (ScriptedServer server =
            new ScriptedServer((request, reply) -> {
              if (request.target().endsWith("/exec")) {
                reply.send(streamHead());
                reply.chunk(" ");
                for (int beat = 0; beat < 8; beat++) {
                  Thread.sleep(100);
                  reply.chunk("");
                }
                reply.awaitClientsEnd();
              } else if (request.target().contains("/stream")) {
                reply.events(stdout(0, "done"), exit(1, 0));
              } else {
                createdOrClosed(request, reply);
              }
            });
        Client client = server.client();
        Sandbox sb = client.create()) {
      client.transport().longestSilence(Duration.ofMillis(500));
      long began = System.nanoTime();
      assertThat(sb.run("code").stdout()).isEqualTo("done");
      assertThat(Duration.ofNanos(System.nanoTime() - began))
          .isGreaterThan(Duration.ofMillis(1200));
    }
  }

  @Test
  @Timeout(120)
  void aRelayThatCutsEverySilenceDoesNotEndCodeThatRuns() throws Exception {
    AtomicInteger cuts = new AtomicInteger();
    try (ScriptedServer server =
            new ScriptedServer((request, reply) -> {
              if (request.target().endsWith("/exec") || request.target().contains("/stream")) {
                if (cuts.getAndIncrement() < 5) {
                  reply.send(streamHead());
                  reply.drop();
                } else {
                  reply.events(stdout(0, "done"), exit(1, 0));
                }
              } else if (request.target().endsWith("/execs/" + EXEC)) {
                reply.json(200, running());
              } else {
                createdOrClosed(request, reply);
              }
            });
        Client client = server.client();
        Sandbox sb = client.create()) {
      assertThat(sb.run("code").stdout()).isEqualTo("done");
    }
  }

  /** What a server says of an exec that has not ended. */
  private static String running() {
    return "{\"id\":\""
        + EXEC
        + "\",\"language\":\"python\",\"background\":false,\"state\":\"running\","
        + "\"code\":\"x\",\"created_at\":1,\"started_at\":2,\"ended_at\":null,"
        + "\"exit_code\":null,\"reason\":null,\"events\":0,\"first_seq\":0}";
  }

  @Test
  @Timeout(120)
  void codeThatRunsIsGoneBackToHoweverOftenThatFails() throws Exception {
    AtomicInteger attachments = new AtomicInteger();
    try (ScriptedServer server =
            new ScriptedServer((request, reply) -> {
              if (request.target().endsWith("/exec")) {
                reply.send(streamHead());
                reply.drop();
              } else if (request.target().contains("/stream")) {
                int attempt = attachments.getAndIncrement();
                if (attempt >= 8) {
                  reply.events(stdout(0, "done"), exit(1, 0));
                } else if (attempt % 2 == 0) {
                  reply.json(503, "{\"error\":\"full\",\"code\":\"host_full\"}");
                } else {
                  reply.drop();
                }
              } else if (request.target().endsWith("/execs/" + EXEC)) {
                reply.json(200, running());
              } else {
                createdOrClosed(request, reply);
              }
            });
        Client client = server.client();
        Sandbox sb = client.create()) {
      assertThat(sb.run("code").stdout()).isEqualTo("done");
      assertThat(execs(server)).hasSize(1);
    }
  }

  @Test
  void aCallThatWaitsSaysBehindWhat() throws Exception {
    String waiting = event("waiting", 0, "{\"behind\":\"" + EXEC + "\"}", "");
    try (ScriptedServer server =
            serving(waiting, event("result", 1, "{\"text/plain\":\"2\"}", ""), exit(2, 0));
        Client client = server.client();
        Sandbox sb = client.create()) {
      assertThat(sb.run("1 + 1").text()).contains("2");
      try (Stream<Event> events = sb.stream("code")) {
        assertThat(events.findFirst().orElseThrow())
            .isInstanceOfSatisfying(
                Event.Waiting.class, first -> assertThat(first.behind()).contains(EXEC));
      }
    }
  }

  @Test
  void aLocalPathAsTextAndACommandAsAnExecsIdAreRefused(@TempDir Path folder) throws Exception {
    try (ScriptedServer server =
            new ScriptedServer((request, reply) -> {
              if (request.method().equals("PUT")) {
                reply.json(200, "{\"path\":\"/root/x\",\"size\":3}");
              } else {
                createdOrClosed(request, reply);
              }
            });
        Client client = server.client();
        Sandbox sb = client.create()) {
      Path here = Files.writeString(folder.resolve("data.csv"), "a,b");
      String local = here.toString();
      for (List<String> words :
          List.of(
              List.of("data.csv", local),
              List.of("/root/data.csv", local),
              List.of(local, local),
              List.of(local, "/root/data.csv"),
              List.of(local, "~/data.csv"),
              List.of(local, "./data.csv"))) {
        assertThatThrownBy(() -> sb.upload(words.get(0), words.get(1)))
            .as(words.toString())
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessageContaining("uploadFrom");
      }
      for (List<String> words :
          List.of(
              List.of("/etc/hostname", "box.local"),
              List.of("Procfile", "web.py"),
              List.of("/root/target.txt", "/usr/local/bin"),
              List.of("next", "/home/me/none.csv"),
              List.of("next", "~/none.csv"),
              List.of("next", folder.toString()),
              List.of("none.csv", "none.csv"),
              List.of("f", ""),
              List.of("f", "a b.txt"))) {
        sb.upload(words.get(0), words.get(1));
        assertThat(server.requests().get(server.requests().size() - 1).body())
            .isEqualTo(words.get(1));
      }
      int before = server.requests().size();
      assertThatThrownBy(() -> sb.attach("ls -la"))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContaining("bash(command)");
      assertThat(server.requests()).hasSize(before);
    }
  }

  @Test
  void aTemplateSaysWhichPythonIsInIt() throws Exception {
    String templates =
        "{\"templates\":[{\"name\":\"default\",\"base\":null,\"version\":1,\"state\":\"ready\","
            + "\"builtin\":true,\"stale\":false,\"created_at\":5,\"error\":null,"
            + "\"python\":\"3.13.5\",\"python_packages\":{\"pandas\":\"2.2.3\"}},"
            + "{\"name\":\"mine\",\"base\":\"default\",\"version\":1,\"state\":\"ready\","
            + "\"builtin\":false,\"stale\":false,\"created_at\":5,\"error\":null,"
            + "\"python\":null,\"python_packages\":{}}]}";
    try (ScriptedServer server =
            new ScriptedServer((request, reply) -> reply.json(200, templates));
        Client client = server.client()) {
      List<TemplateInfo> found = client.templates().list();
      assertThat(found.get(0).python()).contains("3.13.5");
      assertThat(found.get(0).pythonPackages()).containsExactly(Map.entry("pandas", "2.2.3"));
      assertThat(found.get(1).python()).isEmpty();
      assertThat(found.get(1).pythonPackages()).isEmpty();
    }
  }

  @Test
  void aFolderIsUploadedWithItsModes(@TempDir Path folder) throws Exception {
    Path script = Files.writeString(folder.resolve("run.sh"), "run");
    Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwxr-xr-x"));
    Path source = Files.writeString(Files.createDirectory(folder.resolve("src")).resolve("a"), "b");
    Files.setPosixFilePermissions(source, PosixFilePermissions.fromString("rw-r--r--"));
    try (ScriptedServer server =
            new ScriptedServer((request, reply) -> {
              if (request.method().equals("PUT")) {
                reply.json(200, "{\"size\":" + request.body().length() + "}");
              } else {
                createdOrClosed(request, reply);
              }
            });
        Client client = server.client();
        Sandbox sb = client.create()) {
      assertThat(sb.uploadFrom(folder, "/root/p")).isEqualTo(4);
      assertThat(sb.uploadFrom(script)).isEqualTo(3);
      String files = "PUT /v1/sandboxes/" + SANDBOX + "/files?path=";
      assertThat(server.lines())
          .contains(
              files + "/root/p/run.sh&mode=0755",
              files + "/root/p/src/a&mode=0644",
              files + "/root/run.sh&mode=0755");
    }
  }

  @Test
  void aSubscriberGetsAsMuchAsItAsksForAndTheEndUnasked() throws Exception {
    try (ScriptedServer server = serving(stdout(0, "a"), stdout(1, "b"), exit(2, 0));
        Client client = server.client();
        Sandbox sb = client.create()) {
      Flow.Publisher<Event> publisher = sb.publish("code", ExecOptions.python());
      Listener listener = new Listener(3);
      publisher.subscribe(listener);
      assertThat(listener.ended.await(60, TimeUnit.SECONDS)).isTrue();
      assertThat(listener.failure.get()).isNull();
      assertThat(listener.events).hasSize(3).last().isInstanceOf(Event.Exit.class);
      assertThat(execs(server)).hasSize(1);

      Listener second = new Listener(1);
      publisher.subscribe(second);
      assertThat(second.ended.await(60, TimeUnit.SECONDS)).isTrue();
      assertThat(second.failure.get()).isInstanceOf(IllegalStateException.class);
      assertThat(execs(server)).hasSize(1);
    }
  }

  @Test
  void aSubscriberThatAsksForNothingIsToldSo() throws Exception {
    try (ScriptedServer server = serving(stdout(0, "a"), exit(1, 0));
        Client client = server.client();
        Sandbox sb = client.create()) {
      Listener listener = new Listener(0);
      sb.publish("code", ExecOptions.python()).subscribe(listener);
      assertThat(listener.ended.await(60, TimeUnit.SECONDS)).isTrue();
      assertThat(listener.failure.get()).isInstanceOf(IllegalArgumentException.class);
    }
  }

  @Test
  void detachedCodeIsFoundAgainByItsId() throws Exception {
    String info =
        "{\"id\":\""
            + EXEC
            + "\",\"language\":\"bash\",\"background\":true,\"state\":\"ended\","
            + "\"code\":\"x\",\"created_at\":1,\"started_at\":2,\"ended_at\":3,\"exit_code\":4,"
            + "\"reason\":\"error\",\"events\":5,\"first_seq\":1}";
    try (ScriptedServer server =
            new ScriptedServer((request, reply) -> {
              if (request.target().endsWith("/exec")) {
                reply.json(202, "{\"exec\":\"" + EXEC + "\"}");
              } else if (request.target().contains("/stream")) {
                reply.events(
                    event("gap", 0, "{\"from\":0,\"to\":3}", ""), stdout(4, "z"), exit(5, 4));
              } else if (request.target().endsWith("/execs")) {
                reply.json(200, "{\"execs\":[" + info + "]}");
              } else if (request.target().endsWith("/interrupt")) {
                reply.nothing();
              } else if (request.target().contains("/execs/")) {
                reply.json(200, info);
              } else {
                createdOrClosed(request, reply);
              }
            });
        Client client = server.client();
        Sandbox sb = client.create()) {
      Exec job = sb.background("serve");
      assertThat(execs(server).get(0).json().truth("background", false)).isTrue();
      assertThat(execs(server).get(0).json().text("language")).isEqualTo("bash");
      assertThat(job.id()).isEqualTo(EXEC);
      ExecResult result = sb.attach(EXEC).await();
      assertThat(result.stdout()).isEqualTo("z");
      assertThat(result.stderr()).contains("0 to 3 are not kept");
      assertThat(sb.execs()).containsExactly(job.info());
      assertThat(job.info().exitCode()).hasValue(4);
      job.interrupt();
      assertThat(sb.detach("code").id()).isEqualTo(EXEC);
      assertThat(execs(server).get(1).json().truth("detach", false)).isTrue();
    }
  }

  static List<ScriptedServer.Request> execs(ScriptedServer server) {
    return server.requests().stream().filter(r -> r.target().equals(EXEC_PATH)).toList();
  }

  /** A server of one sandbox, in which all code does the same. */
  static ScriptedServer serving(String... lines) throws Exception {
    return new ScriptedServer((request, reply) -> {
      if (request.target().endsWith("/exec")) {
        reply.events(lines);
      } else {
        createdOrClosed(request, reply);
      }
    });
  }

  static void createdOrClosed(ScriptedServer.Request request, ScriptedServer.Reply reply)
      throws Exception {
    if (request.method().equals("DELETE")) {
      reply.nothing();
    } else {
      reply.created();
    }
  }

  private static final class Listener implements Flow.Subscriber<Event> {
    final List<Event> events = new ArrayList<>();
    final CountDownLatch heard = new CountDownLatch(1);
    final CountDownLatch ended = new CountDownLatch(1);
    final AtomicReference<Flow.Subscription> subscription = new AtomicReference<>();
    final AtomicReference<Throwable> failure = new AtomicReference<>();
    private final int wanted;

    Listener(int wanted) {
      this.wanted = wanted;
    }

    @Override
    public void onSubscribe(Flow.Subscription given) {
      subscription.set(given);
      given.request(wanted);
    }

    @Override
    public void onNext(Event event) {
      events.add(event);
      heard.countDown();
    }

    @Override
    public void onError(Throwable cause) {
      failure.set(cause);
      ended.countDown();
    }

    @Override
    public void onComplete() {
      ended.countDown();
    }
  }
}
