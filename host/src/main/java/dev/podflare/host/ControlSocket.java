package dev.podflare.host;

import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.SocketTimeoutException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * This process's end of a conversation with another process in messages, which can carry
 * descriptors to it. Who has sent a message the kernel says, not the sender: a process with the
 * rights of a monitor can't claim to be another one. What a message says is a stranger's word.
 *
 * <p>One thread may send while another receives. Both keep their thread while they wait, so they
 * are for platform threads.
 */
public final class ControlSocket implements AutoCloseable {

  /** The most bytes of one message, in either direction. */
  public static final int LONGEST_MESSAGE = 4096;

  /** The most descriptors that one message can carry. */
  public static final int MOST_DESCRIPTORS = 64;

  /** How long a message may wait for the other end to make room. */
  private static final Duration SEND_PATIENCE = Duration.ofSeconds(5);

  private static final int SO_PASSCRED = 16;
  private static final int SO_SNDTIMEO = 21;
  private static final int SCM_RIGHTS = 1;
  private static final int SCM_CREDENTIALS = 2;
  private static final int MSG_TRUNC = 0x20;
  private static final long MSG_DONTWAIT = 0x40;
  private static final long MSG_NOSIGNAL = 0x4000;
  private static final long MSG_CMSG_CLOEXEC = 0x40000000;

  /** {@code struct cmsghdr}: length of all, level, type; then {@code struct ucred}. */
  private static final int HEADER = 16;

  private static final int CREDENTIALS = 12;

  /**
   * A message.
   *
   * @param bytes as they were sent, {@value #LONGEST_MESSAGE} at most
   * @param sender the id of the process that sent it, by the kernel's word, as this process counts
   *     them; -1 if the kernel does not know
   */
  @SuppressWarnings("ArrayRecordComponent") // Nobody compares messages.
  public record Message(byte[] bytes, long sender) {}

  /**
   * The two ends of a new conversation.
   *
   * @param ours this process's end
   * @param theirs the end to hand to another process, and to close here then
   */
  public record Pair(ControlSocket ours, Descriptor theirs) implements AutoCloseable {
    @Override
    public void close() {
      ours.close();
      theirs.close();
    }
  }

  private final Descriptor socket;
  private final Duration sendPatience;

  private ControlSocket(Descriptor socket, Duration sendPatience) throws IOException {
    this.socket = socket;
    this.sendPatience = sendPatience;
    limitSends(socket, sendPatience);
  }

  /** Makes a conversation between this process and one that gets the other end. */
  public static Pair pair() throws IOException {
    return pair(SEND_PATIENCE);
  }

  static Pair pair(Duration sendPatience) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment both = arena.allocate(ValueLayout.JAVA_INT, 2);
      SystemCall.SOCKETPAIR.call(
          UnixSocket.AF_UNIX,
          UnixSocket.Kind.SEQPACKET.number | UnixSocket.SOCK_CLOEXEC,
          0,
          both.address());
      Descriptor ours = new Descriptor(both.getAtIndex(ValueLayout.JAVA_INT, 0));
      Descriptor theirs = new Descriptor(both.getAtIndex(ValueLayout.JAVA_INT, 1));
      try {
        askForSenders(ours);
        return new Pair(new ControlSocket(ours, sendPatience), theirs);
      } catch (IOException e) {
        ours.close();
        theirs.close();
        throw e;
      }
    }
  }

  /**
   * Connects to a process that listens.
   *
   * @param path of its socket, of any length; a symbolic link there is not followed
   * @param patience how long it may take until the other process has room for a connection
   * @throws IOException if nobody listens there, or there is no room in time
   */
  public static ControlSocket connect(Path path, Duration patience) throws IOException {
    Descriptor socket = UnixSocket.socket(UnixSocket.Kind.SEQPACKET);
    try (Descriptor place = Descriptor.locate(path);
        Arena arena = Arena.ofConfined()) {
      MemorySegment address = UnixSocket.address(place.path().toString(), arena);
      askForSenders(socket);
      limitSends(socket, patience);
      SystemCall.CONNECT.call(socket.number(), address.address(), address.byteSize());
      return new ControlSocket(socket, SEND_PATIENCE);
    } catch (IOException e) {
      socket.close();
      throw new IOException(path + " can't be connected to: " + e.getMessage(), e);
    }
  }

  private static void askForSenders(Descriptor socket) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      setOption(socket, SO_PASSCRED, arena.allocateFrom(ValueLayout.JAVA_INT, 1));
    }
  }

  private static void limitSends(Descriptor socket, Duration limit) throws IOException {
    // A limit of 0 would be none.
    long microseconds = Math.max(1, limit.toNanos() / 1000);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment time =
          arena.allocateFrom(
              ValueLayout.JAVA_LONG, microseconds / 1_000_000, microseconds % 1_000_000);
      setOption(socket, SO_SNDTIMEO, time);
    }
  }

  private static void setOption(Descriptor socket, int option, MemorySegment value)
      throws IOException {
    SystemCall.SETSOCKOPT.call(
        socket.number(), UnixSocket.SOL_SOCKET, option, value.address(), value.byteSize());
  }

  /**
   * Sends a message, whole or not at all.
   *
   * @param message of 1 to {@value #LONGEST_MESSAGE} bytes
   * @param passed what the other process gets, in this order; {@value #MOST_DESCRIPTORS} at most.
   *     They stay this process's as well
   * @throws SocketTimeoutException if the other end does not take it within 5 s
   * @throws IOException if the other end is gone
   */
  public void send(byte[] message, List<Descriptor> passed) throws IOException {
    if (message.length == 0 || message.length > LONGEST_MESSAGE) {
      throw new IllegalArgumentException("no message: " + message.length + " bytes");
    }
    if (passed.size() > MOST_DESCRIPTORS) {
      throw new IllegalArgumentException("too many descriptors: " + passed.size());
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = arena.allocateFrom(ValueLayout.JAVA_BYTE, message);
      MemorySegment control = passed.isEmpty() ? MemorySegment.NULL : rights(passed, arena);
      MemorySegment header = MessageHeader.allocate(bytes, control, arena);
      SystemCall.SENDMSG.call(socket.number(), header.address(), MSG_NOSIGNAL);
    } catch (SystemCallException e) {
      throw switch (e.errno()) {
        case Errno.EAGAIN ->
            timeout("the other end took no message within " + sendPatience.toMillis() + " ms", e);
        case Errno.EPIPE, Errno.ECONNRESET -> new IOException("the other end is gone", e);
        default -> e;
      };
    }
  }

  private static MemorySegment rights(List<Descriptor> passed, Arena arena) {
    long length = HEADER + (long) passed.size() * Integer.BYTES;
    MemorySegment control = arena.allocate((length + 7) / 8 * 8, Long.BYTES);
    control.set(ValueLayout.JAVA_LONG, 0, length);
    control.set(ValueLayout.JAVA_INT, 8, (int) UnixSocket.SOL_SOCKET);
    control.set(ValueLayout.JAVA_INT, 12, SCM_RIGHTS);
    for (int i = 0; i < passed.size(); i++) {
      long at = HEADER + (long) i * Integer.BYTES;
      control.set(ValueLayout.JAVA_INT, at, passed.get(i).number());
    }
    return control;
  }

  /**
   * Takes the next message. Descriptors that a stranger has put into it never become this
   * process's.
   *
   * @throws SocketTimeoutException if none comes in time
   * @throws EOFException if the other end is closed, and nothing is left that it has sent
   * @throws IOException if the message is longer than {@value #LONGEST_MESSAGE} bytes; it is lost
   */
  public Message receive(Duration patience) throws IOException {
    Poll poll = Poll.within(patience);
    while (poll.untilReadable(socket.number())) {
      try {
        return next();
      } catch (SystemCallException e) {
        if (e.errno() == Errno.ECONNRESET) {
          throw end(e);
        }
        if (e.errno() != Errno.EAGAIN) {
          throw e;
        }
      }
    }
    throw timeout("no message came within " + patience.toMillis() + " ms", null);
  }

  private Message next() throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = arena.allocate(LONGEST_MESSAGE);
      // The sender comes first and fills it: the kernel drops descriptors, having no room for them.
      MemorySegment control = arena.allocate(HEADER + CREDENTIALS, Long.BYTES);
      MemorySegment header = MessageHeader.allocate(bytes, control, arena);
      long count =
          SystemCall.RECVMSG.call(
              socket.number(), header.address(), MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
      if (count == 0 && MessageHeader.controlLength(header) == 0) {
        throw end(null); // An empty message would have a sender.
      }
      if ((MessageHeader.flags(header) & MSG_TRUNC) != 0) {
        throw new IOException("a message has more than " + LONGEST_MESSAGE + " bytes");
      }
      return new Message(
          bytes.asSlice(0, count).toArray(ValueLayout.JAVA_BYTE),
          sender(control, MessageHeader.controlLength(header)));
    }
  }

  private static long sender(MemorySegment control, long length) {
    if (length < HEADER + CREDENTIALS
        || control.get(ValueLayout.JAVA_INT, 8) != UnixSocket.SOL_SOCKET
        || control.get(ValueLayout.JAVA_INT, 12) != SCM_CREDENTIALS) {
      return -1;
    }
    int pid = control.get(ValueLayout.JAVA_INT, HEADER);
    return pid > 0 ? pid : -1;
  }

  private static EOFException end(@Nullable Exception cause) {
    EOFException end = new EOFException("the other end is closed");
    end.initCause(cause);
    return end;
  }

  private static SocketTimeoutException timeout(String message, @Nullable Exception cause) {
    SocketTimeoutException timeout = new SocketTimeoutException(message);
    timeout.initCause(cause);
    return timeout;
  }

  /** Ends the conversation: the other process finds its end. Does nothing if it has ended. */
  @Override
  public void close() {
    socket.close();
  }
}
