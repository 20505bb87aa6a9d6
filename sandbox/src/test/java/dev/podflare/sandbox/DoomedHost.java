package dev.podflare.sandbox;

import dev.podflare.engine.qemu.QemuEngine;
import dev.podflare.sandbox.MergeSandboxes.Mode;
import dev.podflare.sandbox.MergeSandboxes.OnConflict;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Scanner;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;

/** Sandboxes in a process of their own, which a test can kill at any instant. */
final class DoomedHost implements AutoCloseable {

  private final Process process;
  private final BufferedWriter orders;
  private final BlockingQueue<String> answers = new ArrayBlockingQueue<>(100);

  DoomedHost(Path engine, Path data) throws IOException {
    process =
        new ProcessBuilder(
                ProcessHandle.current().info().command().orElseThrow(),
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path"),
                DoomedHost.class.getName(),
                engine.toString(),
                data.toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    orders = process.outputWriter(StandardCharsets.UTF_8);
    Thread.ofVirtual().start(this::readAnswers);
  }

  private void readAnswers() {
    try (BufferedReader lines =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        answers.add(line);
      }
    } catch (IOException killed) {
      answers.add("killed");
    }
  }

  /** Sends an order, and does not wait for its answer. */
  void send(String order) throws IOException {
    orders.write(order + "\n");
    orders.flush();
  }

  /** The first one waits until a template is built, which takes minutes on a busy host. */
  String answer() throws InterruptedException {
    String answer = answers.poll(5, TimeUnit.MINUTES);
    if (answer == null) {
      throw new AssertionError("the host in the other process does not answer");
    }
    return answer;
  }

  String ask(String order) throws IOException, InterruptedException {
    send(order);
    return answer();
  }

  SandboxId create() throws IOException, InterruptedException {
    return new SandboxId(ask("create"));
  }

  /** Its machines stay, as after the death of any server. */
  void kill() {
    process.destroyForcibly().onExit().join();
  }

  @Override
  public void close() {
    kill();
  }

  /** The other process: one order a line, one line of answer. */
  public static void main(String[] arguments) throws Exception {
    HostUnderTest host =
        new HostUnderTest(QemuEngine.in(Path.of(arguments[0])), Path.of(arguments[1]));
    Scanner orders = new Scanner(System.in, StandardCharsets.UTF_8);
    while (orders.hasNextLine()) {
      String[] words = orders.nextLine().split(" ", 3);
      String answer;
      try {
        answer = obey(host, words);
      } catch (SandboxException refused) {
        answer = "refused: " + refused.getMessage();
      }
      System.out.println(answer);
    }
  }

  private static String obey(HostUnderTest host, String[] words) throws Exception {
    return switch (words[0]) {
      case "create" -> host.create().value();
      case "create-persistent" ->
          host.create(Optional.of(Duration.ofMillis(Long.parseLong(words[1]))), Optional.empty())
              .value();
      case "begin" -> {
        ExecStream stream =
            host.sandboxes().exec(new SandboxId(words[1]), HostUnderTest.code(words[2]));
        var _ = stream.next();
        yield "begun";
      }
      case "python" -> host.python(new SandboxId(words[1]), words[2]);
      case "run" -> host.run(new SandboxId(words[1]), words[2]).out().replace("\n", " ") + ".";
      case "fork" ->
          host.sandboxes().fork(new SandboxId(words[1]), 1).children().getFirst().id().value();
      case "merge" -> {
        var _ =
            host.sandboxes()
                .merge(
                    new SandboxId(words[1]),
                    new SandboxId(words[2]),
                    new MergeSandboxes(Mode.SWAP, List.of(), false, OnConflict.FAIL));
        yield "merged";
      }
      case "freeze" -> host.sandboxes().freeze(new SandboxId(words[1])).id().value();
      default -> throw new IllegalArgumentException(words[0]);
    };
  }
}
