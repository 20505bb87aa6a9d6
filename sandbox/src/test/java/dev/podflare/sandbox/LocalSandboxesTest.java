package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.engine.Egress;
import dev.podflare.engine.Exit;
import dev.podflare.engine.MachineShape;
import dev.podflare.engine.MicroVm;
import dev.podflare.engine.qemu.QemuEngine;
import dev.podflare.sandbox.ExecRequest.Language;
import dev.podflare.sandbox.SandboxException.Reason;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/**
 * The life of sandboxes on real microVMs. Needs root and a guest image, which {@code
 * PODFLARE_IMAGE_DIR} names. The templates are built once for all tests.
 */
@Tag("machine")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class LocalSandboxesTest {

  private static final long PLENTY = 64L << 30;

  private final AtomicLong memoryAvailable = new AtomicLong(PLENTY);
  private final List<LocalSandboxes> opened = new ArrayList<>();
  private Path directory;
  private WatchedEngine engine;
  private LocalSandboxes sandboxes;

  @BeforeAll
  void buildTemplates(@TempDir Path temporary) throws Exception {
    directory = temporary;
    engine = new WatchedEngine(QemuEngine.in(directory.resolve("engine")));
    sandboxes = open(Files.createDirectory(directory.resolve("data")), Map.of());
  }

  @AfterEach
  void forgetWhatWasStarted() {
    memoryAvailable.set(PLENTY);
    engine.started().clear();
  }

  @AfterAll
  void closeAll() {
    opened.reversed().forEach(LocalSandboxes::close);
    engine.close();
  }

  private LocalSandboxes open(Path data, Map<String, Integer> pools) throws Exception {
    HostLimits limits =
        new HostLimits(
            new MachineShape(1, 512, 1024),
            new MachineShape(2, 1024, 2048),
            Duration.ofMinutes(5),
            Duration.ofMinutes(10),
            Duration.ofMinutes(10),
            pools,
            1L << 30,
            128L << 20);
    LocalSandboxes host =
        LocalSandboxes.open(
            engine,
            GuestImage.open(Path.of(System.getenv("PODFLARE_IMAGE_DIR"))),
            List.of(Template.DEFAULT),
            limits,
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
    opened.add(host);
    return host;
  }

  /** A data directory of its own, with the templates that are there already. */
  private Path emptyData(String name) throws Exception {
    Path data = Files.createDirectory(directory.resolve(name));
    Files.createSymbolicLink(data.resolve("templates"), directory.resolve("data/templates"));
    return data;
  }

  private static CreateSandbox request(Optional<Duration> idle, Optional<Duration> lifetime) {
    return new CreateSandbox(
        "owner",
        CreateSandbox.DEFAULT_TEMPLATE,
        new Egress.Nothing(),
        false,
        idle,
        lifetime,
        Optional.empty(),
        Optional.empty(),
        Optional.empty(),
        Map.of("COLOUR", "blue"),
        Map.of("task", "7"));
  }

  private static CreateSandbox request() {
    return request(Optional.empty(), Optional.empty());
  }

  private static ExecRequest code(Language language, String code) {
    return new ExecRequest(code, language, Optional.empty(), Map.of(), Optional.empty());
  }

  private record Ran(String out, ExecEvent.Exit exit) {}

  private static Ran run(Sandboxes host, SandboxId id, Language language, String code)
      throws InterruptedException {
    StringBuilder out = new StringBuilder();
    try (ExecStream stream = host.exec(id, code(language, code))) {
      while (true) {
        for (ToldEvent told : stream.next()) {
          switch (told.event()) {
            case ExecEvent.Stdout(String text) -> out.append(text);
            case ExecEvent.Exit exit -> {
              return new Ran(out.toString(), exit);
            }
            default -> {}
          }
        }
      }
    }
  }

  private Ran python(SandboxId id, String code) throws InterruptedException {
    return run(sandboxes, id, Language.PYTHON, code);
  }

  private MicroVm machineOf(SandboxInfo created) throws InterruptedException {
    MicroVm machine = engine.started().poll(60, TimeUnit.SECONDS);
    assertThat(machine).as("the machine of " + created.id()).isNotNull();
    return machine;
  }

  private static Exit endOf(MicroVm machine, long seconds) throws Exception {
    return machine.exit().get(seconds, TimeUnit.SECONDS);
  }

  private static void assertRefused(Runnable call, Reason reason, String code) {
    assertThatThrownBy(call::run)
        .isInstanceOfSatisfying(
            SandboxException.class,
            refused -> {
              assertThat(refused.reason()).isEqualTo(reason);
              assertThat(refused.code()).isEqualTo(code);
            });
  }

  private static Duration since(long nanos) {
    return Duration.ofNanos(System.nanoTime() - nanos);
  }

  // ---- use ----

  @Test
  void a_sandbox_keeps_what_code_has_left_and_has_its_environment() throws Exception {
    SandboxInfo created = sandboxes.create(request());
    assertThat(created.state()).isEqualTo(SandboxInfo.State.READY);
    assertThat(python(created.id(), "x = 41").exit().code()).isZero();
    Ran ran = python(created.id(), "import os; print(x + 1, os.environ['COLOUR'])");
    assertThat(ran.out()).isEqualTo("42 blue\n");
    assertThat(run(sandboxes, created.id(), Language.BASH, "exit 3").exit().code()).isEqualTo(3);
    sandboxes.close(created.id());
  }

  @Test
  void a_file_is_what_was_written_from_either_side() throws Exception {
    SandboxId id = sandboxes.create(request()).id();
    byte[] content = "from the host\n".getBytes(StandardCharsets.UTF_8);
    assertThat(
            sandboxes.writeFile(id, "/tmp/a", Optional.empty(), new ByteArrayInputStream(content)))
        .isEqualTo(content.length);
    assertThat(python(id, "print(open('/tmp/a').read(), end='')").out())
        .isEqualTo("from the host\n");
    try (var stream = sandboxes.readFile(id, "/tmp/a").bytes()) {
      assertThat(stream.readAllBytes()).isEqualTo(content);
    }
    sandboxes.removeFile(id, "/tmp/a", false);
    assertRefused(() -> sandboxes.readFile(id, "/tmp/a"), Reason.NO_FILE, "file_not_found");
    sandboxes.close(id);
  }

  @Test
  void closing_ends_the_machine_and_can_be_done_twice() throws Exception {
    SandboxInfo created = sandboxes.create(request());
    MicroVm machine = machineOf(created);
    sandboxes.close(created.id());
    assertThat(endOf(machine, 10).cause()).isEqualTo(Exit.Cause.STOPPED);
    sandboxes.close(created.id());
    assertThat(sandboxes.find(created.id())).isEmpty();
    assertThat(sandboxes.ownerEver(created.id())).contains("owner");
    assertRefused(
        () -> sandboxes.exec(created.id(), code(Language.PYTHON, "1")),
        Reason.NO_SANDBOX,
        "sandbox_not_found");
  }

  // ---- time ----

  @Test
  void an_unused_sandbox_is_closed_when_its_idle_timeout_is_over() throws Exception {
    SandboxInfo created =
        sandboxes.create(request(Optional.of(Duration.ofSeconds(3)), Optional.empty()));
    MicroVm machine = machineOf(created);
    // Taken before the last use, so that no delay makes the idle time look too short.
    long lastUse = System.nanoTime();
    python(created.id(), "1");
    assertThat(endOf(machine, 20).cause()).isEqualTo(Exit.Cause.STOPPED);
    assertThat(since(lastUse)).isBetween(Duration.ofMillis(2900), Duration.ofSeconds(20));
    assertThat(sandboxes.find(created.id())).isEmpty();
  }

  @Test
  void code_that_runs_longer_than_the_idle_timeout_keeps_its_sandbox() throws Exception {
    SandboxInfo created =
        sandboxes.create(request(Optional.of(Duration.ofSeconds(3)), Optional.empty()));
    MicroVm machine = machineOf(created);
    Ran ran = python(created.id(), "import time; time.sleep(6); print('done')");
    assertThat(ran.out()).isEqualTo("done\n");
    assertThat(endOf(machine, 20).cause()).isEqualTo(Exit.Cause.STOPPED);
  }

  @Test
  void the_end_of_its_lifetime_closes_a_sandbox_even_while_code_runs() throws Exception {
    long before = System.nanoTime();
    SandboxInfo created =
        sandboxes.create(request(Optional.empty(), Optional.of(Duration.ofSeconds(3))));
    Ran ran = python(created.id(), "import time; time.sleep(60)");
    assertThat(ran.exit().reason()).isEqualTo(ExecEvent.Reason.KILLED);
    assertThat(ran.exit().stateKept()).isFalse();
    assertThat(since(before)).isBetween(Duration.ofMillis(2900), Duration.ofSeconds(50));
    assertThat(sandboxes.find(created.id())).isEmpty();
  }

  // ---- loss ----

  @Test
  void a_sandbox_whose_machine_has_ended_is_lost_and_says_why_until_it_is_closed()
      throws Exception {
    SandboxInfo created = sandboxes.create(request());
    MicroVm machine = machineOf(created);
    Ran ran = run(sandboxes, created.id(), Language.BASH, "echo b > /proc/sysrq-trigger; sleep 60");
    assertThat(ran.exit().reason()).isEqualTo(ExecEvent.Reason.KILLED);
    assertThat(endOf(machine, 10).cause()).isEqualTo(Exit.Cause.GUEST_ENDED);
    assertThat(sandboxes.find(created.id()).orElseThrow().state())
        .isEqualTo(SandboxInfo.State.LOST);
    assertRefused(
        () -> sandboxes.exec(created.id(), code(Language.PYTHON, "1")),
        Reason.WRONG_STATE,
        "sandbox_lost");
    assertRefused(
        () -> sandboxes.readFile(created.id(), "/tmp/a"), Reason.WRONG_STATE, "sandbox_lost");
    sandboxes.close(created.id());
    assertThat(sandboxes.find(created.id())).isEmpty();
  }

  @Test
  void after_a_crash_of_the_server_its_sandboxes_are_lost_but_known() throws Exception {
    Path data = emptyData("crashed");
    LocalSandboxes crashed = open(data, Map.of());
    SandboxInfo created = crashed.create(request());
    // It is not closed: the next one finds the registry as a killed server leaves it.
    LocalSandboxes next = open(data, Map.of());
    SandboxInfo found = next.find(created.id()).orElseThrow();
    assertThat(found.state()).isEqualTo(SandboxInfo.State.LOST);
    assertThat(found.metadata()).containsEntry("task", "7");
    assertRefused(
        () -> next.exec(created.id(), code(Language.PYTHON, "1")),
        Reason.WRONG_STATE,
        "sandbox_lost");
    next.close(created.id());
    assertThat(next.find(created.id())).isEmpty();
    assertThat(next.ownerEver(created.id())).contains("owner");
  }

  @Test
  void after_a_stop_of_the_server_its_sandboxes_are_closed() throws Exception {
    Path data = emptyData("stopped");
    LocalSandboxes stopped = open(data, Map.of());
    SandboxInfo created = stopped.create(request());
    MicroVm machine = machineOf(created);
    stopped.close();
    opened.remove(stopped);
    assertThat(machine.exit()).isDone();
    LocalSandboxes next = open(data, Map.of());
    assertThat(next.find(created.id())).isEmpty();
    assertThat(next.ownerEver(created.id())).contains("owner");
  }

  // ---- refusals ----

  @Test
  void nothing_is_started_on_a_host_without_room() {
    memoryAvailable.set((1L << 30) + (127L << 20));
    assertRefused(() -> sandboxes.create(request()), Reason.NO_ROOM, "no_room");
    assertThat(engine.started()).isEmpty();
    assertThat(sandboxes.capacity().roomFor()).isZero();
  }

  @Test
  void what_is_beyond_the_hosts_limits_is_refused_by_the_name_of_its_field() {
    assertRefused(
        () -> sandboxes.create(request(Optional.of(Duration.ofMinutes(11)), Optional.empty())),
        Reason.INVALID,
        "invalid_idle_timeout_seconds");
    assertRefused(
        () -> sandboxes.create(request(Optional.empty(), Optional.of(Duration.ofMinutes(11)))),
        Reason.INVALID,
        "invalid_max_lifetime_seconds");
    CreateSandbox large =
        new CreateSandbox(
            "owner",
            "none",
            new Egress.Outside(),
            false,
            Optional.empty(),
            Optional.empty(),
            Optional.empty(),
            Optional.empty(),
            Optional.empty(),
            Map.of(),
            Map.of());
    assertRefused(() -> sandboxes.create(large), Reason.INVALID, "invalid_template");
  }

  // ---- pool ----

  @Test
  void a_waiting_machine_is_handed_out_and_replaced() throws Exception {
    LocalSandboxes pooled = open(emptyData("pooled"), Map.of(CreateSandbox.DEFAULT_TEMPLATE, 1));
    MicroVm waiting = engine.started().poll(60, TimeUnit.SECONDS);
    SandboxInfo created = pooled.create(request());
    assertThat(engine.started().poll(60, TimeUnit.SECONDS)).as("another one").isNotNull();
    assertThat(waiting.exit()).isNotDone();
    pooled.close(created.id());
    assertThat(waiting.exit()).isDone();
    Capacity.Pool counters =
        pooled.capacity().pools().stream()
            .filter(pool -> pool.template().equals(CreateSandbox.DEFAULT_TEMPLATE))
            .findFirst()
            .orElseThrow();
    assertThat(counters.hits()).isEqualTo(1);
    assertThat(counters.misses()).isZero();
    pooled.close();
    opened.remove(pooled);
  }

  @Test
  void a_machine_that_dies_while_it_waits_is_replaced() throws Exception {
    LocalSandboxes pooled = open(emptyData("mortal"), Map.of(CreateSandbox.DEFAULT_TEMPLATE, 1));
    engine.started().poll(60, TimeUnit.SECONDS).close();
    assertThat(engine.started().poll(60, TimeUnit.SECONDS)).as("another one").isNotNull();
    pooled.close();
    opened.remove(pooled);
  }
}
