package dev.podflare.engine.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.engine.EngineException;
import dev.podflare.host.ControlGroup;
import dev.podflare.host.Lease;
import dev.podflare.host.SandboxNetwork;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** What holds for a program in the jail, asked of a real one and of the kernel. Needs root. */
class JailTest {

  /** Of no user of this host, nor of any microVM. */
  private static final int USER = 1_878_999_999;

  private static final String RUN_ID =
      "__import__('subprocess').run(['/shown/id', '-u'], capture_output=True, text=True).stdout.strip()";

  @TempDir private Path directory;
  private Path executable;
  private Path socket;
  private Path log;
  private Path work;
  private Jail jail;

  @BeforeEach
  void prepare() throws Exception {
    executable = NativePrograms.unpack(directory.resolve("native")).jail();
    socket = directory.resolve("first.sock");
    log = directory.resolve("log");
    work = Files.createDirectory(directory.resolve("work"));
    Files.setAttribute(work, "unix:uid", USER);
    jail = jailBy(executable);
  }

  private Jail jailBy(Path program) throws IOException {
    return Jail.by(program)
        .listeningOn(socket)
        .rootedAt(Files.createDirectories(directory.resolve("root")))
        .loggingTo(log)
        .asUser(USER)
        .showingWritable(work, "work");
  }

  private JailedPython start() throws Exception {
    return JailedPython.start(jail, socket);
  }

  @AfterEach
  void nothingOfItIsSeenOutside() throws IOException {
    assertThat(Path.of("/proc/self/mountinfo")).content().doesNotContain(directory.toString());
    try (Stream<Path> files = Files.list(directory.resolve("root"))) {
      assertThat(files).isEmpty();
    }
  }

  // ---- who it is ----

  @Test
  void it_is_another_user_and_in_no_group() throws Exception {
    try (JailedPython inside = start()) {
      assertThat(inside.status("Uid").split("\t", -1)).containsOnly(Integer.toString(USER));
      assertThat(inside.status("Gid").split("\t", -1)).containsOnly(Integer.toString(USER));
      assertThat(inside.status("Groups")).isEmpty();
    }
  }

  @Test
  void it_has_no_capability_and_none_can_come_back() throws Exception {
    try (JailedPython inside = start()) {
      for (String set : List.of("CapPrm", "CapEff", "CapBnd", "CapAmb")) {
        assertThat(inside.status(set)).as(set).isEqualTo("0000000000000000");
      }
      assertThat(inside.status("NoNewPrivs")).isEqualTo("1");
      assertThat(inside.value("os.setuid(0)")).isEqualTo("EPERM");
    }
  }

  @Test
  void it_keeps_the_right_to_become_another_user_and_no_other_if_it_is_to() throws Exception {
    jail = jail.changingUserWithin(USER + 1, 5);
    try (JailedPython inside = start()) {
      for (String set : List.of("CapInh", "CapPrm", "CapEff", "CapAmb")) {
        assertThat(inside.status(set)).as(set).isEqualTo("00000000000000c0");
      }
      assertThat(inside.status("CapBnd")).isEqualTo("0000000000000000");
      assertThat(inside.status("NoNewPrivs")).isEqualTo("1");
      assertThat(inside.status("Uid").split("\t", -1)).containsOnly(Integer.toString(USER));
      assertThat(inside.value("os.environ['PODFLARE_USERS']")).isEqualTo((USER + 1) + ":5");
    }
  }

  @Test
  void a_program_that_changes_its_user_changes_nothing_in_there() throws Exception {
    Path changer = Files.copy(Path.of("/usr/bin/id"), directory.resolve("id"));
    Files.setAttribute(changer, "unix:mode", 0104755);
    jail = jail.showing(changer, "shown/id");
    try (JailedPython inside = start()) {
      assertThat(inside.value(RUN_ID)).isEqualTo(Integer.toString(USER));
    }
  }

  @Test
  void it_leads_a_session_of_its_own() throws Exception {
    try (JailedPython inside = start()) {
      assertThat(inside.value("os.getsid(0)")).isEqualTo(Long.toString(inside.pid()));
    }
  }

  @Test
  void it_has_namespaces_of_its_own() throws Exception {
    try (JailedPython inside = start()) {
      for (String namespace : List.of("mnt", "ipc", "uts", "net")) {
        assertThat(Files.readSymbolicLink(inside.proc("ns/" + namespace)))
            .isNotEqualTo(Files.readSymbolicLink(Path.of("/proc/self/ns", namespace)));
      }
      assertThat(inside.value("socket.if_nameindex()")).isEqualTo("[(1, 'lo')]");
    }
  }

  // ---- what it sees ----

  @Test
  void it_sees_only_the_paths_that_are_named() throws Exception {
    try (JailedPython inside = start()) {
      String expected =
          Stream.concat(
                  Stream.of("work"),
                  Qemu.systemPaths(Path.of("/")).keySet().stream().map(JailTest::topOf))
              .distinct()
              .sorted()
              .map(name -> "'" + name + "'")
              .toList()
              .toString();
      assertThat(inside.value("sorted(os.listdir('/'))")).isEqualTo(expected);
      assertThat(inside.value("sorted(os.listdir('/../..'))")).isEqualTo(expected);
      assertThat(inside.value("os.listdir('/etc')")).isEqualTo("['ld.so.cache']");
      for (String path : List.of("/etc/passwd", "/proc/1/environ", "/root", directory.toString())) {
        assertThat(inside.value("os.stat('" + path + "')")).as(path).isEqualTo("ENOENT");
      }
    }
  }

  private static String topOf(String path) {
    return path.split("/", 2)[0];
  }

  @Test
  void it_can_not_write_to_its_root() throws Exception {
    try (JailedPython inside = start()) {
      assertThat(inside.value("open('/new', 'w')")).isIn("EROFS", "EACCES");
      assertThat(inside.value("os.mkdir('/etc/new')")).isIn("EROFS", "EACCES");
    }
  }

  @Test
  void what_is_shown_read_only_stays_so_even_for_its_owner() throws Exception {
    Path file = Files.writeString(directory.resolve("file"), "as it was");
    Files.setAttribute(file, "unix:uid", USER);
    jail = jail.showing(file, "shown/file");
    try (JailedPython inside = start()) {
      assertThat(inside.value("open('/shown/file').read()")).isEqualTo("as it was");
      assertThat(inside.value("open('/shown/file', 'r+')")).isEqualTo("EROFS");
      assertThat(inside.value("os.chmod('/shown/file', 0o777)")).isEqualTo("EROFS");
    }
    assertThat(file).hasContent("as it was");
  }

  @Test
  void what_is_shown_writable_can_be_written() throws Exception {
    try (JailedPython inside = start()) {
      assertThat(inside.value("open('/work/new', 'w').write('from inside')")).isEqualTo("11");
    }
    assertThat(work.resolve("new")).hasContent("from inside");
  }

  @Test
  void a_single_file_can_be_shown_writable() throws Exception {
    Path file = Files.writeString(directory.resolve("file"), "as it was");
    Files.setAttribute(file, "unix:uid", USER);
    jail = jail.showingWritable(file, "shown/file");
    try (JailedPython inside = start()) {
      assertThat(inside.value("open('/shown/file', 'w').write('from inside')")).isEqualTo("11");
      assertThat(inside.value("open('/shown/other', 'w')")).isIn("EROFS", "EACCES");
      assertThat(inside.value("os.unlink('/shown/file')")).isIn("EROFS", "EACCES", "EBUSY");
    }
    assertThat(file).hasContent("from inside");
  }

  @Test
  void what_is_shown_writable_takes_files_and_no_device_pipe_link_or_program() throws Exception {
    Path program = Files.copy(Path.of("/usr/bin/id"), work.resolve("id"));
    Files.setAttribute(program, "unix:mode", 0100755);
    try (JailedPython inside = start()) {
      assertThat(inside.value("os.mkfifo('/work/pipe')")).isEqualTo("EACCES");
      assertThat(inside.value("os.symlink('/usr', '/work/link')")).isEqualTo("EACCES");
      assertThat(inside.value("os.execv('/work/id', ['id'])")).isEqualTo("EACCES");
    }
  }

  @Test
  void it_reaches_nobody_by_tcp_signal_or_abstract_socket() throws Exception {
    try (JailedPython inside = start()) {
      String connect = "socket.socket().connect(('127.0.0.1', 1))";
      // Landlock says the one from its version 4 on, a namespace without a route the other.
      assertThat(inside.value(connect)).isIn("EACCES", "ENETUNREACH");
      assertThat(inside.value("os.kill(os.getppid(), 0)")).isEqualTo("EPERM");
      // The network namespace is its own, so nobody of the host listens under any such name.
      assertThat(inside.value("socket.socket(socket.AF_UNIX).connect('\\0other')"))
          .isEqualTo("ECONNREFUSED");
    }
  }

  @Test
  void a_device_is_there_only_if_it_is_named() throws Exception {
    try (JailedPython inside = start()) {
      assertThat(inside.value("os.stat('/dev/null')")).isEqualTo("ENOENT");
    }
    Files.delete(socket);
    jail = jail.showingDevice("/dev/null");
    try (JailedPython inside = start()) {
      assertThat(inside.value("open('/dev/null', 'w').write('x')")).isEqualTo("1");
      assertThat(inside.value("os.listdir('/dev')")).isEqualTo("['null']");
    }
  }

  // ---- what it is given ----

  @Test
  void it_inherits_no_descriptor_but_those_that_are_meant_for_it() throws Exception {
    Path careless = directory.resolve("careless");
    Files.writeString(
        careless,
        "#!/bin/sh\nexec 3</etc/shadow 5</etc/passwd 9</etc\nexec " + executable + " \"$@\"\n");
    Files.setPosixFilePermissions(careless, PosixFilePermissions.fromString("rwx------"));
    jail = jailBy(careless);
    try (JailedPython inside = start()) {
      // Number 3 is kept for a tap, 5 is the connection that the program itself has accepted.
      assertThat(descriptors(inside)).isSubsetOf("0", "1", "2", "3", "4", "5");
      assertThat(target(inside, 0)).isEqualTo("/dev/null");
      assertThat(target(inside, 1)).isEqualTo(log.toString());
      assertThat(target(inside, 2)).isEqualTo(log.toString());
      assertThat(target(inside, 3)).isEqualTo("/dev/null");
      assertThat(target(inside, 4)).startsWith("socket:");
      assertThat(target(inside, 5)).startsWith("socket:");
    }
  }

  private static List<String> descriptors(JailedPython inside) throws IOException {
    try (Stream<Path> all = Files.list(inside.proc("fd"))) {
      return all.map(path -> path.getFileName().toString()).sorted().toList();
    }
  }

  private static String target(JailedPython inside, int descriptor) throws IOException {
    return Files.readSymbolicLink(inside.proc("fd/" + descriptor)).toString();
  }

  @Test
  void its_environment_is_empty() throws Exception {
    try (JailedPython inside = start()) {
      assertThat(Files.readString(inside.proc("environ"))).isEmpty();
    }
  }

  @Test
  void its_sockets_listen_when_it_has_started_and_only_for_the_servers_user() throws Exception {
    Path second = directory.resolve("second.sock");
    jail = jail.listeningOn(second);
    try (JailedPython inside = start()) {
      assertThat(Files.getPosixFilePermissions(socket))
          .isEqualTo(PosixFilePermissions.fromString("rw-------"));
      assertThat(Files.getOwner(socket)).isEqualTo(Files.getOwner(Path.of("/")));
      assertThat(inside.value("socket.socket(fileno=os.dup(5)).getsockname()"))
          .isEqualTo(second.toString());
    }
  }

  @Test
  void its_sockets_are_of_the_kind_that_is_asked_for() throws Exception {
    Path packets = directory.resolve("packets.sock");
    jail = jail.listeningForPackets(packets).listeningOn(directory.resolve("third.sock"));
    try (JailedPython inside = start()) {
      assertThat(Files.getPosixFilePermissions(packets))
          .isEqualTo(PosixFilePermissions.fromString("rw-------"));
      String type = "socket.socket(fileno=os.dup(%d)).type.name";
      assertThat(inside.value(type.formatted(4))).isEqualTo("SOCK_STREAM");
      assertThat(inside.value(type.formatted(5))).isEqualTo("SOCK_SEQPACKET");
      assertThat(inside.value(type.formatted(6))).isEqualTo("SOCK_STREAM");
      assertThat(inside.value("socket.socket(fileno=os.dup(5)).getsockname()"))
          .isEqualTo(packets.toString());
    }
  }

  @Test
  void it_leaves_no_core_and_opens_few_files() throws Exception {
    try (JailedPython inside = start()) {
      assertThat(Files.readString(inside.proc("limits")))
          .containsPattern("Max core file size +0 +0 ")
          .containsPattern("Max open files +256 +256 ");
    }
  }

  @Test
  void no_file_that_it_writes_gets_larger_than_allowed() throws Exception {
    jail = jail.writingFilesOf(5000);
    try (JailedPython inside = start()) {
      assertThat(inside.value("open('/work/large', 'wb', 0).write(bytes(6000))")).isEqualTo("5000");
      assertThat(inside.value("open('/work/large', 'ab', 0).write(b'x')")).isEqualTo("EFBIG");
    }
    assertThat(work.resolve("large")).hasSize(5000);
  }

  @Test
  void it_joins_its_control_group() throws Exception {
    String name = "test-" + UUID.randomUUID();
    ControlGroup group = ControlGroup.create(name, 256L << 20, 16);
    jail = jail.limitedBy(group.procsFiles());
    try (JailedPython inside = start()) {
      for (Path file : group.procsFiles()) {
        assertThat(Files.readAllLines(file)).containsExactly(Long.toString(inside.pid()));
      }
    }
    removeOnceEmpty(group);
  }

  /** The kernel takes a process out of its group a moment after its parent learns of its end. */
  private static void removeOnceEmpty(ControlGroup group) throws Exception {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
    while (true) {
      try {
        group.close();
        return;
      } catch (dev.podflare.host.HostException busy) {
        if (System.nanoTime() > deadline) {
          throw busy;
        }
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(1));
      }
    }
  }

  @Test
  void it_is_in_the_network_that_is_named_with_its_tap_open() throws Exception {
    Path holder = Files.createDirectory(directory.resolve("holder"));
    Lease lease = Lease.take(holder);
    try (SandboxNetwork network = SandboxNetwork.open(lease, List.of())) {
      // The kernel lets only the tap's own user attach to it without privileges.
      jail = jail.inNetwork(network.namespace(), network.tap());
      try (JailedPython inside = start()) {
        assertThat(target(inside, 3)).isEqualTo("/dev/net/tun");
        assertThat(Files.readString(inside.proc("fdinfo/3"))).contains("iff:\ttap0");
        assertThat(Files.getAttribute(inside.proc("ns/net"), "unix:ino"))
            .isEqualTo(Files.getAttribute(network.namespace(), "unix:ino"));
      }
    } finally {
      lease.release(holder);
    }
  }

  // ---- how it fails ----

  private record Ended(int code, String out, String error) {}

  private Ended run(List<String> arguments) throws Exception {
    List<String> words = new ArrayList<>(List.of(executable.toString()));
    words.addAll(arguments);
    Process process = new ProcessBuilder(words).start();
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    return new Ended(
        process.exitValue(),
        new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8),
        new String(process.getErrorStream().readAllBytes(), StandardCharsets.UTF_8));
  }

  static Stream<Arguments> wrongCommandLines() {
    return Stream.of(
        Arguments.of("", "are needed"),
        Arguments.of("--root R --uid 5 --log L --", "are needed"),
        Arguments.of("--root R --log L -- /usr/bin/true", "are needed"),
        Arguments.of("--root R --uid 5 -- /usr/bin/true", "are needed"),
        Arguments.of("--uid 5 --log L -- /usr/bin/true", "are needed"),
        Arguments.of("--root R --uid 0 --log L -- /usr/bin/true", "are needed"),
        Arguments.of("--frobnicate x -- /usr/bin/true", "unknown option --frobnicate"),
        Arguments.of("--root", "--root needs a value"),
        Arguments.of("--root R --uid five --log L -- /usr/bin/true", "five is not a number"),
        Arguments.of("--root R --uid -1 --log L -- /usr/bin/true", "-1 is not a number"),
        Arguments.of(
            "--root R --uid 4294967295 --log L -- /usr/bin/true", "4294967295 is no user id"),
        Arguments.of(
            "--root R --uid 4294967296 --log L -- /usr/bin/true", "4294967296 is no user id"),
        Arguments.of("--users 5 --root R --uid 5 --log L -- /usr/bin/true", "5 is no range"),
        Arguments.of("--users 0:5 --root R --uid 5 --log L -- /usr/bin/true", "0:5 is no range"),
        Arguments.of("--users 5:0 --root R --uid 5 --log L -- /usr/bin/true", "5:0 is no range"),
        Arguments.of(
            "--users 5:2147483647 --root R --uid 5 --log L -- /usr/bin/true", "is no range"),
        Arguments.of("--users -5:3 --root R --uid 5 --log L -- /usr/bin/true", "is no range"),
        Arguments.of("--root R --uid 5 --log none/L -- /usr/bin/true", "open none/L"),
        Arguments.of("--root none --uid 5 --log L -- /usr/bin/true", "mount tmpfs on none"),
        Arguments.of("--root R --uid 5 --log L --netns none -- /usr/bin/true", "open none"),
        Arguments.of("--root R --uid 5 --log L --cgroup none -- /usr/bin/true", "open none"),
        Arguments.of("--root R --uid 5 --log L --readonly x -- /usr/bin/true", "is not source"),
        Arguments.of(
            "--root R --uid 5 --log L --readonly none:x -- /usr/bin/true", "none: No such"),
        Arguments.of("--root R --uid 5 --log L --listen none/s -- /usr/bin/true", "bind none/s"),
        Arguments.of(
            "--root R --uid 5 --log L --listen /tmp/" + "s".repeat(108) + " -- /usr/bin/true",
            "name too long"),
        Arguments.of("--readonly a:b ".repeat(17) + "-- /usr/bin/true", "too many options"),
        Arguments.of(
            "--root R --uid 5 --log L --readonly /usr:usr -- /usr/none", "start /usr/none"));
  }

  @ParameterizedTest
  @MethodSource("wrongCommandLines")
  void each_failure_is_one_line_and_starts_nothing(String arguments, String why) throws Exception {
    List<String> words =
        Stream.of(arguments.split(" ", -1))
            .filter(word -> !word.isEmpty())
            .map(word -> word.equals("R") ? directory.resolve("root").toString() : word)
            .map(word -> word.equals("L") ? log.toString() : word)
            .toList();
    Ended ended = run(words);
    assertThat(ended.error()).startsWith("podflare-jail: ").contains(why).endsWith("\n");
    assertThat(ended.error().lines()).hasSize(1);
    assertThat(ended.code()).isEqualTo(125);
    assertThat(ended.out()).isEmpty();
  }

  @Test
  void a_failure_reaches_the_caller_as_the_jails_own_sentence() {
    assertThatThrownBy(() -> jail.start(List.of("/usr/bin/none")))
        .isInstanceOf(EngineException.class)
        .hasMessageStartingWith("podflare-jail: start /usr/bin/none: ");
  }

  @Test
  void a_jail_that_is_not_there_is_named() {
    Jail none = Jail.by(directory.resolve("none"));
    assertThatThrownBy(() -> none.start(List.of("/usr/bin/true")))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining(directory.resolve("none") + " can't be started");
  }
}
