package dev.podflare.host;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * A conversation with the kernel's network code: netlink(7). The namespace is that of the thread
 * that opened it, whoever uses it later.
 *
 * <p>For one thread at a time. The kernel answers before a request returns, so nothing waits.
 */
final class Netlink implements AutoCloseable {

  static final int ROUTE = 0;
  static final int NETFILTER = 12;

  static final int REQUEST = 1;
  static final int ACKNOWLEDGE = 4;
  static final int REPLACE = 0x100;
  static final int EXCLUSIVE = 0x200;
  static final int CREATE = 0x400;

  private static final long AF_NETLINK = 16;
  private static final long SOCK_RAW_CLOEXEC = 3 | 0x80000;
  private static final int NLMSG_ERROR = 2;
  private static final int HEADER = 16;
  private static final int LARGEST = 8192;
  private static final long MSG_DONTWAIT = 0x40;

  /** {@code struct sockaddr_nl}: the family, and behind the port the groups. */
  private static final int ADDRESS = 12;

  private static final int GROUPS = 8;

  private final Descriptor socket;

  private Netlink(Descriptor socket) {
    this.socket = socket;
  }

  static Netlink open(int protocol) throws IOException {
    return new Netlink(
        new Descriptor(SystemCall.SOCKET.call(AF_NETLINK, SOCK_RAW_CLOEXEC, protocol)));
  }

  /**
   * Opens one in which the kernel sends notices as well.
   *
   * @param groups of notices, as bits
   */
  static Netlink listen(int protocol, int groups) throws IOException {
    Netlink netlink = open(protocol);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment address = arena.allocate(ADDRESS, Integer.BYTES);
      address.set(ValueLayout.JAVA_SHORT, 0, (short) AF_NETLINK);
      address.set(ValueLayout.JAVA_INT, GROUPS, groups);
      SystemCall.BIND.call(netlink.socket.number(), address.address(), ADDRESS);
      return netlink;
    } catch (IOException e) {
      netlink.close();
      throw e;
    }
  }

  /**
   * Takes the next notice, whatever it says.
   *
   * @throws SystemCallException {@link Errno#EAGAIN} if there is none, {@link Errno#ENOBUFS} if
   *     there were more than the socket has room for
   */
  void takeNotice() throws SystemCallException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment notice = arena.allocate(HEADER);
      SystemCall.RECVFROM.call(
          socket.number(), notice.address(), notice.byteSize(), MSG_DONTWAIT, 0, 0);
    }
  }

  /** The kernel refused a request. */
  static final class RefusedException extends IOException {
    private static final long serialVersionUID = 1L;

    private RefusedException(int errno) {
      super(Errno.text(errno));
    }
  }

  /**
   * Makes a request.
   *
   * @return the answer behind its header; empty if it is an acknowledgement
   * @throws RefusedException with the kernel's reason
   */
  ByteBuffer ask(Request request) throws IOException {
    ByteBuffer bytes = request.bytes();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment sent = arena.allocate(bytes.remaining(), Long.BYTES);
      sent.copyFrom(MemorySegment.ofBuffer(bytes));
      SystemCall.SENDTO.call(socket.number(), sent.address(), sent.byteSize(), 0, 0, 0);
      MemorySegment received = arena.allocate(LARGEST, Long.BYTES);
      long count =
          SystemCall.RECVFROM.call(
              socket.number(), received.address(), received.byteSize(), 0, 0, 0);
      ByteBuffer answer =
          ByteBuffer.wrap(received.asSlice(0, count).toArray(ValueLayout.JAVA_BYTE))
              .order(ByteOrder.nativeOrder());
      if (answer.getShort(Integer.BYTES) != NLMSG_ERROR) {
        return answer.position(HEADER).slice().order(ByteOrder.nativeOrder());
      }
      int error = answer.getInt(HEADER);
      if (error != 0) {
        throw new RefusedException(-error);
      }
      return ByteBuffer.allocate(0);
    }
  }

  @Override
  public void close() {
    socket.close();
  }

  /** A request, from its header to the last of its attributes. */
  static final class Request {

    private static final int NESTED = 0x8000;
    private static final int ATTRIBUTE_HEADER = 4;

    private final ByteBuffer bytes = ByteBuffer.allocate(LARGEST).order(ByteOrder.nativeOrder());

    /**
     * Begins one.
     *
     * @param flags beside {@link #REQUEST}
     */
    Request(int type, int flags) {
      bytes.putInt(0).putShort((short) type).putShort((short) (REQUEST | flags)).putLong(0);
    }

    Request bytes(int... values) {
      for (int value : values) {
        bytes.put((byte) value);
      }
      return this;
    }

    Request number(int value) {
      bytes.putInt(value);
      return this;
    }

    Request attribute(int type, byte[] value) {
      begin(type, ATTRIBUTE_HEADER + value.length);
      bytes.put(value);
      return pad();
    }

    Request attribute(int type, int value) {
      begin(type, ATTRIBUTE_HEADER + Integer.BYTES);
      bytes.putInt(value);
      return this;
    }

    Request attribute(int type, String value) {
      return attribute(type, (value + "\0").getBytes(StandardCharsets.US_ASCII));
    }

    /** What is put in by the content is one attribute. */
    Request nested(int type, Runnable content) {
      int start = bytes.position();
      begin(type | NESTED, 0);
      content.run();
      bytes.putShort(start, (short) (bytes.position() - start));
      return this;
    }

    private void begin(int type, int length) {
      bytes.putShort((short) length).putShort((short) type);
    }

    private Request pad() {
      while (bytes.position() % ATTRIBUTE_HEADER != 0) {
        bytes.put((byte) 0);
      }
      return this;
    }

    private ByteBuffer bytes() {
      return bytes.putInt(0, bytes.position()).flip();
    }
  }
}
