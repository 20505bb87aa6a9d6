package dev.podflare.engine.qemu;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.FieldSource;

/**
 * Which system calls a monitor may make: tried from inside of a real jail, as a monitor's user, in
 * processes that have loaded the object which monitors are started with. Needs root.
 */
class FilterTest {

  /** Of no user of this host, nor of any microVM. */
  private static final int USER = 1_878_999_990;

  private static final int FIRST = USER + 1;
  private static final int COUNT = 3;

  /** What the shell calls an end by SIGSYS, and the object's own ending too. */
  private static final String ENDED = "159";

  private static final String KILLED = "-31";

  /**
   * Each attempt is a process of its own, as it may be the last thing that this does. It answers 0
   * or the number of the error, unless it is ended.
   */
  private static final String ATTEMPTS =
      """
      import ctypes, mmap, signal, threading
      libc = ctypes.CDLL(None, use_errno=True)
      page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
      memory = ctypes.addressof(ctypes.c_char.from_buffer(page))

      def in_a_process(body):
          child = os.fork()
          if child == 0:
              code = 121
              try:
                  code = body()
              except BaseException as e:
                  print(repr(e), file=sys.stderr, flush=True)
              finally:
                  os._exit(code)
          return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

      def filtered():
          return ctypes.CDLL('/podflare-fork.so', use_errno=True)

      def call(number, *arguments):
          ctypes.set_errno(0)
          if libc.syscall(*[ctypes.c_long(each) for each in (number, *arguments)]) >= 0:
              return 0
          return ctypes.get_errno()

      def attempt(number, *arguments):
          return in_a_process(lambda: (filtered(), call(number, *arguments))[1])

      def users(*steps):
          def all_of_them():
              object = filtered()
              for step in steps:
                  code = object.filter_no_users() if step is None else call(*step)
                  if code != 0:
                      return code
              return 0
          return in_a_process(all_of_them)

      def blocked(by_its_own_function):
          def kill():
              object = filtered()
              everything = (ctypes.c_ulong * 16)(*[2**64 - 1] * 16)
              if by_its_own_function:
                  object.pthread_sigmask(2, everything, None)
              else:
                  call(14, 2, ctypes.addressof(everything), 0, 8)
              return call(62, 1, 0)
          return in_a_process(kill)

      def of_i386(number):
          def run():
              page[:8] = bytes([0xb8]) + number.to_bytes(4, 'little') + bytes([0xcd, 0x80, 0xc3])
              filtered()
              entry()
              return 0
          entry = ctypes.CFUNCTYPE(ctypes.c_long)(memory)  # made before the filter is there
          return in_a_process(run)

      def thread():
          def run():
              filtered()
              ran = []
              one = threading.Thread(target=lambda: ran.append(1))
              one.start()
              one.join()
              return 0 if ran else 1
          return in_a_process(run)

      def fork_of_its_own_kind():
          def run():
              filtered()
              child = libc.syscall(56, 0x8000 | signal.SIGCHLD, 0, 0, 0, 0)
              if child == 0:
                  os._exit(7)
              return 0
          first = in_a_process(run)
          # CLONE_PARENT: it is this one's child now.
          return (first, os.waitstatus_to_exitcode(os.wait()[1]))
      """;

  /** Name and number of the call, then arguments. {@code memory} is an address of zeroes. */
  static final List<String> FORBIDDEN =
      List.of(
          // what reaches another process
          "kill 62 1 0",
          "tkill 200 1 0",
          "tgkill 234 1 1 0",
          "rt_sigqueueinfo 129 1 0 memory",
          "rt_tgsigqueueinfo 297 1 1 0 memory",
          "pidfd_open 434 1 0",
          "pidfd_send_signal 424 0 0 0 0",
          "pidfd_getfd 438 0 0 0",
          "ptrace 101 16 1 0 0",
          "process_vm_readv 310 1 memory 1 memory 1 0",
          "process_vm_writev 311 1 memory 1 memory 1 0",
          "process_madvise 440 0 memory 1 20 0",
          "process_mrelease 448 0 0",
          "kcmp 312 1 1 0 0 0",
          "move_pages 279 1 0 0 0 0 0",
          "migrate_pages 256 1 0 0 0",
          "get_robust_list 274 1 memory memory",
          "prlimit64 302 1 7 0 memory",
          "prlimit64 302 0 7 memory 0",
          "setrlimit 160 7 memory",
          "sched_setscheduler 144 1 0 memory",
          "sched_setparam 142 1 memory",
          "sched_setattr 314 1 memory 0",
          "sched_setaffinity 203 1 8 memory",
          "setpriority 141 0 1 0",
          "ioprio_set 251 1 1 0",
          "setpgid 109 0 0",
          "wait4 61 -1 0 0 0",
          "waitid 247 0 0 0 0 0",
          // descriptors that send signals or type for others
          "fcntl 72 0 8 1",
          "fcntl 72 0 10 9",
          "fcntl 72 0 15 memory",
          "fcntl 72 0 1024 0",
          "fcntl 72 0 1026 1",
          "ioctl 16 0 0x8901 memory",
          "ioctl 16 0 0x8902 memory",
          "ioctl 16 0 0x5412 memory",
          "ioctl 16 0 0x541c memory",
          "ioctl 16 0 0x400454ca memory",
          "ioctl 16 0 0x4004af00 memory",
          // new processes and programs
          "execve 59 memory 0 0",
          "execveat 322 0 memory 0 0 0",
          "fork 57",
          "vfork 58",
          "clone 56 17 0 0 0 0",
          "clone 56 0x4111 0 0 0 0",
          "clone 56 0x10008011 0 0 0 0",
          "clone 56 0x103d0f00 memory 0 0 0",
          "unshare 272 0x10000000",
          "setns 308 0 0",
          "personality 135 0x0040000",
          // the kernel's wide doors
          "perf_event_open 298 memory 0 -1 -1 0",
          "bpf 321 0 memory 8",
          "keyctl 250 0 0 0 0 0",
          "add_key 248 memory memory 0 0 0",
          "request_key 249 memory memory 0 0",
          "io_uring_enter 426 0 0 0 0 0",
          "io_uring_register 427 0 0 0 0",
          "io_setup 206 1 memory",
          "userfaultfd 323 0",
          "name_to_handle_at 303 0 memory memory memory 0",
          "open_by_handle_at 304 0 memory 0",
          "init_module 175 memory 0 memory",
          "finit_module 313 0 memory 0",
          "kexec_load 246 0 0 0 0",
          "reboot 169 0 0 0 0",
          "modify_ldt 154 0 memory 0",
          "iopl 172 3",
          "ioperm 173 0 1 1",
          "syslog 103 0 0 0",
          "fanotify_init 300 0 0",
          "inotify_init1 294 0",
          "memfd_secret 447 0",
          "pkey_mprotect 329 memory 4096 0 -1",
          "vmsplice 278 0 memory 1 0",
          "splice 275 0 0 0 0 1 0",
          "landlock_restrict_self 446 0 0",
          // the tree of files
          "mount 165 memory memory memory 0 0",
          "umount2 166 memory 0",
          "pivot_root 155 memory memory",
          "chroot 161 memory",
          "open_tree 428 0 memory 0",
          "move_mount 429 0 memory 0 memory 0",
          "fsopen 430 memory 0",
          "mount_setattr 442 0 memory 0 memory 32",
          "chmod 90 memory 0",
          "fchmod 91 1 0",
          "chown 92 memory 0 0",
          "fchownat 260 1 memory 0 0 0",
          "link 86 memory memory",
          "symlink 88 memory memory",
          "rename 82 memory memory",
          "mkdir 83 memory 0",
          "mknod 133 memory 0 0",
          "setxattr 188 memory memory memory 0 0",
          "flock 73 1 1",
          // sockets of other families, and memory that is shared by name
          "socket 41 2 1 0",
          "socket 41 10 1 0",
          "socket 41 16 3 0",
          "socket 41 17 3 0",
          "socket 41 38 5 0",
          "socket 41 40 1 0",
          "socketpair 53 1 1 0 memory",
          "connect 42 4 memory 16",
          "shmget 29 0 4096 0",
          "semget 64 0 1 0",
          "msgget 68 0 0",
          "mq_open 240 memory 0 0 0",
          // what would undo this
          "prctl 157 4 1 0 0 0",
          "prctl 157 0x59616d61 -1 0 0 0",
          "prctl 157 22 2 memory 0 0",
          "prctl 157 35 1 0 0 0",
          "prctl 157 36 1 0 0 0",
          "prctl 157 47 2 7 0 0",
          "prctl 157 8 1 0 0 0",
          "arch_prctl 158 0x1001 0",
          "setuid 105 USER",
          "setgid 106 USER",
          "setreuid 113 USER USER",
          "setregid 114 USER USER",
          "setfsuid 122 USER",
          "setfsgid 123 USER",
          "setresuid 117 USER USER USER",
          "setresgid 119 USER USER USER",
          "setgroups 116 0 0",
          "setgroups 116 1 memory",
          "capset 126 memory memory");

  @TempDir private static Path directory;
  private static Path log;
  private static JailedPython inside;
  private static JailedPython privileged;

  @BeforeAll
  static void start() throws Exception {
    log = directory.resolve("log");
    Jail jail = jail("machine").loggingTo(log);
    inside = JailedPython.start(jail, directory.resolve("machine.sock"));
    privileged =
        JailedPython.start(
            jail("users")
                .loggingTo(directory.resolve("users.log"))
                .changingUserWithin(FIRST, COUNT),
            directory.resolve("users.sock"));
    for (JailedPython each : List.of(inside, privileged)) {
      assertThat(each.value("exec('import sys')")).isEqualTo("None");
      assertThat(each.value("exec(" + quoted(ATTEMPTS) + ")")).isEqualTo("None");
      assertThat(each.value("globals().update(USER=" + USER + ", FIRST=" + FIRST + ")"))
          .isEqualTo("None");
    }
  }

  private static String quoted(String program) {
    return "'" + program.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'";
  }

  private static Jail jail(String name) throws Exception {
    NativePrograms programs = NativePrograms.unpack(directory.resolve("native"));
    return Jail.by(programs.jail())
        .listeningOn(directory.resolve(name + ".sock"))
        .rootedAt(Files.createDirectories(directory.resolve("root")))
        .asUser(USER)
        .showing(programs.fork(), "podflare-fork.so");
  }

  @AfterAll
  static void end() throws Exception {
    inside.close();
    privileged.close();
  }

  private static String attempt(String call) throws Exception {
    String arguments = call.substring(call.indexOf(' ') + 1).replace(" ", ", ");
    return inside.value("attempt(" + arguments + ")");
  }

  private static String lastLine() throws Exception {
    try (Stream<String> lines = Files.lines(log)) {
      return lines.reduce("", (_, last) -> last);
    }
  }

  @ParameterizedTest
  @FieldSource("FORBIDDEN")
  void a_forbidden_call_ends_the_machine_and_names_itself_in_its_log(String call) throws Exception {
    String[] words = call.split(" ", 3);
    assertThat(attempt(call)).isEqualTo(ENDED);
    assertThat(lastLine())
        .isEqualTo(
            "podflare: system call %s (%s) is not allowed; the machine ends"
                .formatted(words[1], words[0]));
  }

  @Test
  void a_call_that_no_kernel_had_when_this_was_built_is_forbidden_too() throws Exception {
    assertThat(attempt("new 1023")).isEqualTo(ENDED);
    assertThat(lastLine()).isEqualTo("podflare: system call 1023 is not allowed; the machine ends");
  }

  /** Else the test above would prove nothing of the filter. */
  @ParameterizedTest
  @CsvSource({"62 1 0, 1", "101 16 1 0 0, 1", "41 2 1 0, 0", "272 0, 0", "135 0, 0"})
  void without_the_object_they_reach_the_kernel(String call, String answer) throws Exception {
    assertThat(inside.value("in_a_process(lambda: call(" + call.replace(" ", ", ") + "))"))
        .isEqualTo(answer);
  }

  /** The answers are those of Linux: 9 EBADF, 14 EFAULT, 22 EINVAL, 25 ENOTTY, 38 ENOSYS. */
  @ParameterizedTest
  @CsvSource({
    "39, 0",
    "186, 0",
    "24, 0",
    "1 1 memory 0, 0",
    "290 0 0, 0",
    "318 memory 8 0, 0",
    "302 0 7 0 memory, 0",
    "13 10 0 0 8, 0",
    "222 1 0 memory, 0",
    "9 0 4096 7 0x22 -1 0, 0",
    "72 1 3, 0",
    "72 1 1030 50, 0",
    "157 15 memory, 0",
    "157 4 0, 0",
    "158 0x1003 memory, 0",
    "288 99 0 0 0, 9",
    "47 99 memory 0, 9",
    "16 99 0xae80 0, 9",
    "16 99 0x40049409 0, 9",
    "16 1 0x5401 memory, 25",
    "425 1 memory, 38",
    "435 memory 88, 38",
    "319 memory 0, 38",
    "317 1 8 0, 22",
    "317 1 0 0, 14",
  })
  void what_a_monitor_needs_is_allowed(String call, String answer) throws Exception {
    assertThat(inside.value("attempt(" + call.replace(" ", ", ") + ")")).isEqualTo(answer);
  }

  @Test
  void a_thread_and_a_fork_can_be_made() throws Exception {
    assertThat(inside.value("thread()")).isEqualTo("0");
    assertThat(inside.value("fork_of_its_own_kind()")).isEqualTo("(0, 7)");
  }

  @Test
  void other_ways_into_the_kernel_are_deadly() throws Exception {
    assertThat(attempt("x32 0x40000027")).isEqualTo(KILLED);
    assertThat(inside.value("of_i386(20)")).isEqualTo(KILLED);
  }

  @Test
  void nobody_takes_the_signal_that_ends_the_machine() throws Exception {
    assertThat(attempt("rt_sigaction 13 31 memory 0 8")).isEqualTo(KILLED);
  }

  @Test
  void a_monitor_that_blocks_all_signals_still_says_why_it_ends() throws Exception {
    assertThat(inside.value("blocked(True)")).isEqualTo(ENDED);
    assertThat(inside.value("blocked(False)")).isEqualTo(KILLED);
  }

  @ParameterizedTest
  @CsvSource({
    "FIRST FIRST FIRST, 0",
    "FIRST+2 FIRST+2 FIRST+2, 0",
    "FIRST-1 FIRST-1 FIRST-1, 159",
    "FIRST+3 FIRST+3 FIRST+3, 159",
    "FIRST FIRST FIRST+1, 159",
    "FIRST FIRST+1 FIRST, 159",
    "FIRST+1 FIRST FIRST, 159",
    "FIRST FIRST -1, 159",
    "-1 -1 -1, 159",
    "0 0 0, 159",
  })
  void a_monitor_with_the_right_to_it_becomes_one_of_its_users(String ids, String answer)
      throws Exception {
    String arguments = ids.replace(" ", ", ");
    assertThat(privileged.value("users((119, " + arguments + "))")).isEqualTo(answer);
    assertThat(privileged.value("users((117, " + arguments + "))")).isEqualTo(answer);
  }

  @ParameterizedTest
  @CsvSource({"117 FIRST FIRST FIRST", "119 FIRST FIRST FIRST", "116 0 0", "126 memory memory"})
  void the_right_can_be_given_up(String call) throws Exception {
    String arguments = call.replace(" ", ", ");
    assertThat(privileged.value("users(None, (" + arguments + "))")).isEqualTo(ENDED);
    assertThat(privileged.value("users((117, FIRST, FIRST, FIRST), None, (39,))")).isEqualTo("0");
  }

  @Test
  void a_machine_is_filtered_and_closed_to_its_own_user() throws Exception {
    Path third = directory.resolve("third.sock");
    try (JailedPython machine =
        JailedPython.start(jail("third").loggingTo(directory.resolve("third.log")), third)) {
      assertThat(Files.getAttribute(machine.proc("mem"), "unix:uid")).isEqualTo(USER);
      assertThat(machine.value("__import__('ctypes').CDLL('/podflare-fork.so')._name"))
          .isEqualTo("/podflare-fork.so");
      assertThat(Files.getAttribute(machine.proc("mem"), "unix:uid")).isEqualTo(0);
      assertThat(machine.status("Seccomp")).isEqualTo("2");
    }
  }
}
