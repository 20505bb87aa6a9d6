package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;

import dev.podflare.engine.BootRequest;
import dev.podflare.engine.Egress;
import dev.podflare.engine.Engine;
import dev.podflare.engine.MachineShape;
import dev.podflare.engine.MicroVm;
import dev.podflare.engine.MicroVmId;
import dev.podflare.engine.Snapshot;
import dev.podflare.engine.qemu.QemuEngine;
import dev.podflare.guest.AgentConnection;
import dev.podflare.guest.Entropy;
import dev.podflare.guest.ExecCall;
import dev.podflare.guest.GuestEvent;
import dev.podflare.guest.GuestExec;
import dev.podflare.guest.ResyncToken;
import dev.podflare.guest.Wake;
import dev.podflare.guest.Woken;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/**
 * What a machine that is cut from a running one must not share with it, and what it must keep: in
 * real microVMs, from the engine's capture to the guest's confirmation. Needs root and a guest
 * image, which {@code PODFLARE_IMAGE_DIR} names.
 */
@Tag("machine")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class CloneIdentityTest {

  private static final Duration BOOT = Duration.ofMinutes(3);
  private static final Duration LONG = Duration.ofSeconds(60);

  /** A machine and the connection to its agent. */
  private record Running(MicroVm microVm, AgentConnection agent, Woken woken) {

    String python(String code) throws Exception {
      return run(ExecCall.Language.PYTHON, code);
    }

    String bash(String code) throws Exception {
      return run(ExecCall.Language.BASH, code);
    }

    private String run(ExecCall.Language language, String code) throws Exception {
      var out = new StringBuilder();
      try (GuestExec exec = agent.exec(new ExecCall(language, code, Map.of(), Optional.empty()))) {
        while (true) {
          switch (exec.next(LONG).orElseThrow()) {
            case GuestEvent.Output output -> out.append(output.text());
            case GuestEvent.Closed closed -> {
              assertThat(closed.exitCode()).as("%s", out).isZero();
              return out.toString().strip();
            }
            default -> {}
          }
        }
      }
    }
  }

  private final List<Running> running = new ArrayList<>();
  private Path directory;
  private Engine engine;
  private Snapshot template;
  private ResyncToken token;
  private int forks;

  @BeforeAll
  void bootOnce(@TempDir Path temporary) throws Exception {
    directory = temporary;
    engine = QemuEngine.in(directory.resolve("engine"));
    GuestImage image = GuestImage.open(Path.of(System.getenv("PODFLARE_IMAGE_DIR")));
    MachineShape shape = new MachineShape(1, 512, 1024);
    MicroVm microVm = engine.boot(new BootRequest(MicroVmId.random(), image.boot(), shape));
    try (AgentConnection agent = AgentConnection.over(microVm.attach())) {
      token = agent.awaitHello(BOOT).resync();
      new Running(microVm, agent, null)
          .python("import random, uuid, ssl, socket, numpy, time, os, podflare; uuid.uuid1()");
    }
    template = engine.freeze(microVm, Files.createDirectory(directory.resolve("template")));
  }

  @AfterEach
  void endMachines() {
    running.forEach(machine -> {
      machine.agent().close();
      machine.microVm().close();
    });
    running.clear();
  }

  @AfterAll
  void closeEngine() {
    engine.close();
  }

  private Running wake(MicroVm microVm, int generation, String mac) throws Exception {
    AgentConnection agent = AgentConnection.resume(microVm.attach(), token, LONG);
    var wake =
        new Wake(
            Entropy.fresh(),
            Instant.now(),
            "machine-" + running.size(),
            Map.of(),
            generation,
            mac,
            generation > 1,
            false);
    long begin = System.nanoTime();
    var machine = new Running(microVm, agent, agent.wake(wake, LONG));
    System.out.printf("wake of generation %d: %.1f ms%n", generation, millisSince(begin));
    running.add(machine);
    return machine;
  }

  private static double millisSince(long begin) {
    return (System.nanoTime() - begin) / 1e6;
  }

  private Running first() throws Exception {
    return wake(engine.start(template, new Egress.Nothing()), 1, "");
  }

  private List<Running> fork(Running parent, int count) throws Exception {
    forks++;
    List<MicroVm> copies = engine.fork(parent.microVm(), new Egress.Nothing(), count).children();
    var children = new ArrayList<Running>();
    for (int i = 0; i < count; i++) {
      children.add(
          wake(
              copies.get(i),
              parent.woken().generation() + 1,
              "52:54:00:00:%02x:%02x".formatted(forks, i)));
    }
    return children;
  }

  @Test
  void every_source_of_randomness_goes_its_own_way_in_each_child() throws Exception {
    Running parent = first();
    parent.python("random.seed(1); numpy.random.seed(1)");
    List<Running> all = new ArrayList<>(fork(parent, 4));
    all.add(parent);
    for (String draw :
        List.of(
            "random.random()",
            "numpy.random.random()",
            "uuid.uuid4()",
            "uuid.getnode()",
            "str(uuid.uuid1())[9:]",
            "os.urandom(8)",
            "ssl.RAND_bytes(8)",
            "__import__('secrets').token_hex(8)",
            "numpy.random.default_rng().random()")) {
      var drawn = new ArrayList<String>();
      for (Running machine : all) {
        drawn.add(machine.python("print(" + draw + ")"));
      }
      assertThat(drawn).as(draw).doesNotHaveDuplicates();
    }
    assertThat(all.get(0).bash("head -c 8 /dev/urandom | od -x"))
        .isNotEqualTo(all.get(1).bash("head -c 8 /dev/urandom | od -x"));
  }

  @Test
  void randomness_is_its_own_also_when_the_cut_goes_through_a_running_call() throws Exception {
    Running parent = first();
    String code =
        """
        random.seed(1)
        print('on', flush=True)
        while not os.path.exists('/tmp/go'): time.sleep(0.01)
        open('/tmp/drawn', 'w').write(f'{random.random()} {podflare.generation()}')
        """;
    try (GuestExec exec =
        parent
            .agent()
            .exec(new ExecCall(ExecCall.Language.PYTHON, code, Map.of(), Optional.empty()))) {
      assertThat(exec.next(LONG)).isPresent();
      List<Running> all = new ArrayList<>(fork(parent, 2));
      var drawn = new ArrayList<String>();
      for (Running child : all) {
        assertThat(child.woken().running()).isTrue();
        GuestExec rejoined = child.agent().rejoin().orElseThrow();
        child.bash("touch /tmp/go");
        assertThat(rejoined.awaitEnd().exitCode()).isZero();
        drawn.add(child.python("print(open('/tmp/drawn').read())"));
      }
      parent.bash("touch /tmp/go");
      assertThat(exec.awaitEnd().exitCode()).isZero();
      drawn.add(parent.python("print(open('/tmp/drawn').read())"));
      assertThat(drawn).doesNotHaveDuplicates();
      assertThat(drawn.get(0)).endsWith(" 2");
      assertThat(drawn.get(2)).endsWith(" 1");
    }
  }

  @Test
  void names_addresses_and_generation_are_its_own() throws Exception {
    Running parent = first();
    assertThat(parent.python("print(podflare.generation())")).isEqualTo("1");
    List<Running> children = fork(parent, 2);
    String look =
        "hostname; cat /sys/class/net/eth0/address /run/podflare/generation;"
            + " ip route | head -1; ip neigh | wc -l; python3 -c"
            + " 'import podflare; print(podflare.generation())'";
    assertThat(children.get(0).bash(look))
        .isEqualTo(
            "machine-1\n52:54:00:00:%02x:00\n2\ndefault via 10.0.2.2 dev eth0 \n0\n2"
                .formatted(forks));
    assertThat(children.get(1).bash("cat /sys/class/net/eth0/address")).endsWith(":01");
    Running grandchild = fork(children.get(0), 1).getFirst();
    assertThat(grandchild.python("print(podflare.generation())")).isEqualTo("3");
    assertThat(parent.bash("hostname; cat /run/podflare/generation")).isEqualTo("machine-0\n1");
  }

  @Test
  void the_wall_clock_is_stepped_forward_and_the_monotonic_one_goes_on() throws Exception {
    Running parent = first();
    long asked = System.nanoTime();
    double[] before = clocks(parent);
    MicroVm copy = engine.fork(parent.microVm(), new Egress.Nothing(), 1).children().getFirst();
    copy.pause();
    double untilCut = millisSince(asked) / 1e3;
    Thread.sleep(Duration.ofSeconds(3));
    copy.resume();
    Running child = wake(copy, 2, "");
    double[] after = clocks(child);
    assertThat(after[0])
        .isCloseTo(Instant.now().toEpochMilli() / 1e3, org.assertj.core.data.Offset.offset(10.0));
    assertThat(after[0] - before[0]).isGreaterThan(3);
    assertThat(after[1]).isGreaterThan(before[1]);
    assertThat(after[1] - before[1]).isLessThan(after[0] - before[0]);
    assertThat(child.woken().guestTime().toEpochMilli() / 1e3)
        .isBetween(before[0], before[0] + untilCut + 0.5);
  }

  private static double[] clocks(Running machine) throws Exception {
    return Stream.of(machine.python("print(time.time(), time.monotonic())").split(" ", -1))
        .mapToDouble(Double::parseDouble)
        .toArray();
  }

  @Test
  void connections_to_others_end_and_those_within_the_machine_go_on() throws Exception {
    Running parent = first();
    parent.python(
        """
        REPAIR = 19
        def established(family, peer):
            s = socket.socket(family)
            s.setsockopt(socket.IPPROTO_TCP, REPAIR, 1)
            s.bind(('0.0.0.0' if family == socket.AF_INET else '::', 0))
            s.connect((peer, 80))
            s.setsockopt(socket.IPPROTO_TCP, REPAIR, 0)
            return s
        out = [established(socket.AF_INET, '10.0.2.2'),
               established(socket.AF_INET6, '::ffff:10.0.2.3')]
        # A neighbour that is not there: the network refuses at once what goes anywhere else.
        import subprocess
        subprocess.run(['ip', 'neigh', 'replace', '10.0.2.99', 'lladdr', '52:54:00:00:00:99',
                        'nud', 'permanent', 'dev', 'eth0'], check=True)
        waiting = socket.socket()
        waiting.setblocking(False)
        waiting.connect_ex(('10.0.2.99', 80))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.connect(('10.0.2.3', 53))
        out += [waiting, udp]
        listener = socket.create_server(('', 8080))
        near = socket.create_connection(('127.0.0.1', 8080))
        far, _ = listener.accept()
        own = socket.create_connection(('10.0.2.15', 8080))
        far_own, _ = listener.accept()
        unconnected = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        unconnected.bind(('', 9090))
        """);
    String dead = "print([s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for s in out])";
    String alive =
        """
        near.sendall(b'a'); own.sendall(b'b')
        print(far.recv(1), far_own.recv(1), listener.getsockname()[1], unconnected.getsockname()[1])
        print(socket.create_connection(('127.0.0.1', 8080)).recv == None)
        """;
    Running child = fork(parent, 1).getFirst();
    assertThat(child.python(dead)).isEqualTo("[103, 103, 103, 103]");
    assertThat(child.python(alive)).isEqualTo("b'a' b'b' 8080 9090\nFalse");
    assertThat(parent.python(dead)).isEqualTo("[0, 0, 0, 0]");
    assertThat(parent.python(alive)).isEqualTo("b'a' b'b' 8080 9090\nFalse");
  }

  @Test
  void a_cut_in_the_middle_of_traffic_in_both_directions_loses_nothing_of_the_machine()
      throws Exception {
    Running parent = first();
    parent.python("kept = 7");
    GuestExec loud =
        parent
            .agent()
            .exec(
                new ExecCall(
                    ExecCall.Language.BASH,
                    "while true; do echo 0123456789012345678901234567890123456789; done",
                    Map.of(),
                    Optional.empty()));
    for (int i = 0; i < 5; i++) {
      assertThat(loud.next(LONG)).isPresent();
      Running child = fork(parent, 1).getFirst();
      assertThat(child.woken().running()).isTrue();
      assertThat(child.python("print(kept)")).isEqualTo("7");
      GuestExec rejoined = child.agent().rejoin().orElseThrow();
      rejoined.cancel(dev.podflare.guest.CancelReason.INTERRUPT);
      assertThat(rejoined.awaitEnd().reason()).isEqualTo(GuestEvent.Reason.INTERRUPTED);
      child.agent().close();
      child.microVm().close();
    }
    loud.cancel(dev.podflare.guest.CancelReason.INTERRUPT);
    loud.close();
    assertThat(loud.awaitEnd().reason()).isEqualTo(GuestEvent.Reason.INTERRUPTED);
  }
}
