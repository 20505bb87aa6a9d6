package dev.podflare.host;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;
import java.util.Arrays;

/**
 * The system calls that Java has no class for, by their numbers on x86-64. All go through
 * syscall(2) of the C library, so that there is one place where a failure becomes an exception that
 * says why.
 *
 * <p>Arguments are as the manual's section 2 has them, a pointer as its address. A call that blocks
 * keeps its thread: virtual threads share few carriers, so call what may block from a platform
 * thread.
 */
enum SystemCall {
  CLOSE(3),
  POLL(7),
  LSEEK(8),
  IOCTL(16),
  PREAD(17),
  PWRITE(18),
  SOCKET(41),
  CONNECT(42),
  SENDTO(44),
  RECVFROM(45),
  SENDMSG(46),
  RECVMSG(47),
  BIND(49),
  LISTEN(50),
  SOCKETPAIR(53),
  SETSOCKOPT(54),
  FTRUNCATE(77),
  FCHMOD(91),
  MOUNT(165),
  UMOUNT2(166),
  CLOCK_GETTIME(228),
  EPOLL_WAIT(232),
  EPOLL_CTL(233),
  WAITID(247),
  UNSHARE(272),
  ACCEPT4(288),
  EPOLL_CREATE1(291),
  SETNS(308),
  COPY_FILE_RANGE(326),
  STATX(332),
  PIDFD_SEND_SIGNAL(424),
  PIDFD_OPEN(434),
  OPENAT2(437);

  private static final int MOST_ARGUMENTS = 6;
  private static final MethodHandle SYSCALL =
      CLibrary.function(
          "syscall",
          FunctionDescriptor.of(
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG),
          Linker.Option.firstVariadicArg(1),
          Linker.Option.captureCallState("errno"));
  private static final VarHandle ERRNO =
      Linker.Option.captureStateLayout().varHandle(MemoryLayout.PathElement.groupElement("errno"));

  private final long number;

  SystemCall(long number) {
    this.number = number;
  }

  /**
   * Makes the call, again if a signal has interrupted it.
   *
   * @return what the kernel answered, 0 or more
   */
  long call(long... arguments) throws SystemCallException {
    while (true) {
      try {
        return callOnce(arguments);
      } catch (SystemCallException e) {
        if (e.errno() != Errno.EINTR) {
          throw e;
        }
      }
    }
  }

  /** As {@link #call}, but a signal is a failure: {@link Errno#EINTR}. */
  long callOnce(long... arguments) throws SystemCallException {
    long[] all = Arrays.copyOf(arguments, MOST_ARGUMENTS);
    long result;
    int errno;
    try (Arena arena = Arena.ofConfined()) {
      var state = arena.allocate(Linker.Option.captureStateLayout());
      result =
          (long) SYSCALL.invokeExact(state, number, all[0], all[1], all[2], all[3], all[4], all[5]);
      errno = (int) ERRNO.get(state, 0L);
    } catch (Throwable impossible) {
      throw CLibrary.broken(impossible);
    }
    if (result < 0) {
      throw new SystemCallException(this, errno);
    }
    return result;
  }
}
