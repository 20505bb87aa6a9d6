package dev.podflare.host;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;

/**
 * Tells whether somebody has changed this host's rules: a socket to which the kernel sends a notice
 * of each change. See netlink(7).
 */
final class FirewallChanges implements AutoCloseable {

  private static final int AF_NETLINK = 16;
  private static final int RAW_CLOSE_ON_EXEC = 3 | 0x80000;
  private static final int NETLINK_NETFILTER = 12;

  /** NFNLGRP_NFTABLES, as a bit. */
  private static final int GROUP = 1 << (7 - 1);

  private static final int DO_NOT_WAIT = 0x40;

  /** There was more than the socket has room for. */
  private static final int ENOBUFS = 105;

  private static final MethodHandle SOCKET =
      CLibrary.function(
          "socket",
          FunctionDescriptor.of(
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_INT));
  private static final MethodHandle BIND =
      CLibrary.function(
          "bind",
          FunctionDescriptor.of(
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_INT,
              ValueLayout.ADDRESS,
              ValueLayout.JAVA_INT));
  private static final MethodHandle RECEIVE =
      CLibrary.function(
          "recv",
          FunctionDescriptor.of(
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_INT,
              ValueLayout.ADDRESS,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_INT),
          Linker.Option.captureCallState("errno"));
  private static final MethodHandle CLOSE =
      CLibrary.function("close", FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT));
  private static final VarHandle ERRNO =
      Linker.Option.captureStateLayout().varHandle(MemoryLayout.PathElement.groupElement("errno"));

  private final int fd;

  private FirewallChanges(int fd) {
    this.fd = fd;
  }

  static FirewallChanges watch() throws HostException {
    try (Arena arena = Arena.ofConfined()) {
      int fd = (int) SOCKET.invokeExact(AF_NETLINK, RAW_CLOSE_ON_EXEC, NETLINK_NETFILTER);
      if (fd < 0) {
        throw new HostException("the kernel has no socket for changes of its rules");
      }
      FirewallChanges changes = new FirewallChanges(fd);
      MemorySegment address = arena.allocate(12);
      address.set(ValueLayout.JAVA_SHORT, 0, (short) AF_NETLINK);
      address.set(ValueLayout.JAVA_INT, 8, GROUP);
      if ((int) BIND.invokeExact(fd, address, 12) != 0) {
        changes.close();
        throw new HostException("changes of the kernel's rules can't be listened to");
      }
      return changes;
    } catch (HostException | RuntimeException | Error e) {
      throw e;
    } catch (Throwable impossible) {
      throw CLibrary.broken(impossible);
    }
  }

  /** Whether there was a change since this was asked before. */
  boolean any() {
    boolean found = false;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment notice = arena.allocate(64);
      MemorySegment state = arena.allocate(Linker.Option.captureStateLayout());
      while (true) {
        long size = (long) RECEIVE.invokeExact(state, fd, notice, notice.byteSize(), DO_NOT_WAIT);
        if (size < 0 && (int) ERRNO.get(state, 0L) != ENOBUFS) {
          return found;
        }
        found = true;
      }
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable impossible) {
      throw CLibrary.broken(impossible);
    }
  }

  @Override
  public void close() {
    try {
      int _ = (int) CLOSE.invokeExact(fd);
    } catch (Throwable impossible) {
      throw CLibrary.broken(impossible);
    }
  }
}
