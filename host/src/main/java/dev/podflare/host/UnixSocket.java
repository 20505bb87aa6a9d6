package dev.podflare.host;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;

/**
 * Sockets of this host's file system, as descriptors: for a process that is handed its end of a
 * conversation. See unix(7).
 *
 * <p>Waits keep their thread, so they are for platform threads.
 */
public final class UnixSocket {

  /** How what is sent arrives. */
  public enum Kind {
    /** As a stream of bytes. */
    STREAM(1),
    /** In the messages in which it was sent, in order. */
    SEQPACKET(5);

    final long number;

    Kind(long number) {
      this.number = number;
    }
  }

  static final long AF_UNIX = 1;
  static final long SOCK_CLOEXEC = 0x80000;
  static final long SOL_SOCKET = 1;

  private static final long SOCK_NONBLOCK = 0x800;
  private static final long OWNER_ONLY = 0600;
  private static final int BACKLOG = 4;

  /** {@code sizeof sun_path}, less the zero behind it. */
  private static final int LONGEST_PATH = 107;

  private UnixSocket() {}

  /**
   * Makes a socket that can be connected to, by this process's user only, with room for {@value
   * #BACKLOG} that are not accepted yet.
   *
   * @param path must not exist, and has {@value #LONGEST_PATH} bytes at most
   * @throws IOException if the path is too long or taken, or its directory can't be written to
   */
  public static Descriptor listen(Path path, Kind kind) throws IOException {
    Descriptor listener = socket(kind.number | SOCK_NONBLOCK);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment address = address(path.toString(), arena);
      // Before there is a name: the socket's file gets this mode at once.
      SystemCall.FCHMOD.call(listener.number(), OWNER_ONLY);
      SystemCall.BIND.call(listener.number(), address.address(), address.byteSize());
      SystemCall.LISTEN.call(listener.number(), BACKLOG);
      return listener;
    } catch (IOException e) {
      listener.close();
      throw new IOException("no socket can be made at " + path + ": " + e.getMessage(), e);
    }
  }

  /**
   * Takes the next connection.
   *
   * @param listener made by {@link #listen}
   * @throws SocketTimeoutException if nobody connects in time
   * @throws IOException if it can't be accepted
   */
  public static Descriptor accept(Descriptor listener, Duration patience) throws IOException {
    Poll poll = Poll.within(patience);
    while (poll.untilReadable(listener.number())) {
      try {
        return new Descriptor(SystemCall.ACCEPT4.call(listener.number(), 0, 0, SOCK_CLOEXEC));
      } catch (SystemCallException e) {
        if (e.errno() != Errno.EAGAIN) { // Whoever connected has left again.
          throw e;
        }
      }
    }
    throw new SocketTimeoutException("nobody connected within " + patience.toMillis() + " ms");
  }

  static Descriptor socket(Kind kind) throws IOException {
    return socket(kind.number);
  }

  private static Descriptor socket(long kind) throws IOException {
    return new Descriptor(SystemCall.SOCKET.call(AF_UNIX, kind | SOCK_CLOEXEC, 0));
  }

  /** A {@code struct sockaddr_un}. */
  static MemorySegment address(String path, Arena arena) throws IOException {
    byte[] bytes = path.getBytes(StandardCharsets.UTF_8);
    if (bytes.length > LONGEST_PATH) {
      throw new IOException("the path has more than " + LONGEST_PATH + " bytes: " + path);
    }
    MemorySegment address = arena.allocate(Short.BYTES + bytes.length + 1L, Short.BYTES);
    address.set(ValueLayout.JAVA_SHORT, 0, (short) AF_UNIX);
    MemorySegment.copy(bytes, 0, address, ValueLayout.JAVA_BYTE, Short.BYTES, bytes.length);
    return address;
  }
}
