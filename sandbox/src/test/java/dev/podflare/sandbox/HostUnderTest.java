package dev.podflare.sandbox;

import dev.podflare.engine.Egress;
import dev.podflare.engine.Engine;
import dev.podflare.engine.MachineShape;
import dev.podflare.sandbox.ExecRequest.Language;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;

/** Sandboxes on real microVMs, with what tests ask of them over and over. */
final class HostUnderTest implements AutoCloseable {

  static final long PLENTY = 64L << 30;
  static final long RESERVE = 1L << 30;
  static final long PER_SANDBOX = 128L << 20;

  private final AtomicLong memoryAvailable = new AtomicLong(PLENTY);
  private final LocalSandboxes sandboxes;

  HostUnderTest(Engine engine, Path data) throws Exception {
    sandboxes =
        LocalSandboxes.open(
            engine,
            GuestImage.open(Path.of(System.getenv("PODFLARE_IMAGE_DIR"))),
            List.of(Template.DEFAULT),
            new HostLimits(
                new MachineShape(1, 512, 1024),
                new MachineShape(2, 1024, 2048),
                Duration.ofMinutes(5),
                Duration.ofMinutes(10),
                Duration.ofMinutes(10),
                Map.of(),
                RESERVE,
                PER_SANDBOX),
            new HostMemory() {
              @Override
              public long total() {
                return PLENTY;
              }

              @Override
              public long available() {
                return memoryAvailable.get();
              }
            },
            Clock.systemUTC(),
            data,
            sentence -> {});
  }

  LocalSandboxes sandboxes() {
    return sandboxes;
  }

  void haveMemory(long bytes) {
    memoryAvailable.set(bytes);
  }

  SandboxId create() {
    return create(Optional.empty(), Optional.empty());
  }

  /** A persistent one, if it has an idle timeout. */
  SandboxId create(Optional<Duration> idleIfPersistent, Optional<Duration> lifetime) {
    return sandboxes
        .create(
            new CreateSandbox(
                "owner",
                CreateSandbox.DEFAULT_TEMPLATE,
                new Egress.Nothing(),
                idleIfPersistent.isPresent(),
                idleIfPersistent,
                lifetime,
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                Map.of("COLOUR", "blue"),
                Map.of("task", "7")))
        .id();
  }

  static ExecRequest code(String code) {
    return new ExecRequest(code, Language.PYTHON, Optional.empty(), Map.of(), Optional.empty());
  }

  /** What code has written, errors included, and how it ended. */
  record Ran(String out, ExecEvent.Exit exit) {}

  Ran run(SandboxId id, String code) throws InterruptedException {
    try (ExecStream stream = sandboxes.exec(id, code(code))) {
      return end(stream);
    }
  }

  static Ran end(ExecStream stream) throws InterruptedException {
    StringBuilder out = new StringBuilder();
    while (true) {
      for (ToldEvent told : stream.next()) {
        switch (told.event()) {
          case ExecEvent.Stdout(String text) -> out.append(text);
          case ExecEvent.Stderr(String text) -> out.append(text);
          case ExecEvent.Exit exit -> {
            return new Ran(out.toString(), exit);
          }
          default -> {}
        }
      }
    }
  }

  /** What Python prints for an expression. */
  String python(SandboxId id, String expression) throws InterruptedException {
    return run(id, "print(" + expression + ")").out().strip();
  }

  SandboxInfo.State stateOf(SandboxId id) {
    return sandboxes.find(id).orElseThrow().state();
  }

  @Override
  public void close() {
    sandboxes.close();
  }
}
