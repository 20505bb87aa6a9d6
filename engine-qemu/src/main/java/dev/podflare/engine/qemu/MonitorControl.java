package dev.podflare.engine.qemu;

import dev.podflare.engine.EngineException;
import dev.podflare.engine.qemu.MemoryMap.Piece;
import dev.podflare.host.ControlSocket;
import dev.podflare.host.Descriptor;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The host's end of a conversation with the object that is preloaded into a machine monitor. {@code
 * src/main/c/fork/control.c} has the other end, and says what each request means.
 *
 * <p>Requests and answers alternate; a lock keeps them apart. What a monitor says is a stranger's
 * word: lengths are checked, and the id of a child comes from the kernel.
 */
final class MonitorControl implements AutoCloseable {

  private enum Operation {
    OFFER(1),
    WITHDRAW(2),
    STATE(3),
    MAP(4),
    FORK(5),
    GO(6),
    HELLO(7);

    private final int code;

    Operation(int code) {
      this.code = code;
    }
  }

  /** What becomes of the user of a child. */
  sealed interface User {
    /** It keeps its parent's. */
    record Same() implements User {}

    /** It takes one of its own, and gives up the right to take another. */
    record Own(int id) implements User {}

    /** It takes one of its own, and its children may take others of a range. */
    record OwnAndRange(int id, int first, int count) implements User {}
  }

  /**
   * How a fork went.
   *
   * @param attempts until all threads were at rest
   * @param parking until they were, in the last attempt
   * @param cloning what the kernel took to copy the process
   */
  record Forked(int attempts, Duration parking, Duration cloning) {}

  /**
   * What a child says first.
   *
   * @param pid who says so, as the kernel knows it
   * @param agentConnected whether it has the connection to the agent that was made for it
   */
  record Hello(long pid, boolean agentConnected) {}

  private static final Duration PATIENCE = Duration.ofSeconds(10);
  private static final int HEAD_BYTES = 16;
  private static final int PIECE_BYTES = 32;
  private static final int ANSWER_BYTES = 32;
  private static final int MOST_PIECES = (ControlSocket.LONGEST_MESSAGE - HEAD_BYTES) / PIECE_BYTES;

  private static final int EBUSY = 16;
  private static final int EAGAIN = 11;
  private static final int ENOMEM = 12;

  private final ControlSocket socket;
  private final ReentrantLock turn = new ReentrantLock();

  MonitorControl(ControlSocket socket) {
    this.socket = socket;
  }

  /** Connects to a monitor that listens. */
  static MonitorControl connect(Path path) throws EngineException {
    try {
      return new MonitorControl(ControlSocket.connect(path, PATIENCE));
    } catch (IOException e) {
      throw new EngineException(
          EngineException.Kind.GONE, "the machine monitor can't be reached: " + e.getMessage(), e);
    }
  }

  private record Answer(int error, int attempts, int descriptor, long parking, long cloning) {}

  /** Hands a file over to be read; QEMU finds it under {@link #path}. */
  void offer(int name, Descriptor readOnly) throws EngineException {
    var _ = ask("be handed a file", head(Operation.OFFER, name, 0), List.of(readOnly));
  }

  /** Hands a file over to be read and written. */
  void offer(int name, Descriptor readOnly, Descriptor writable) throws EngineException {
    var _ = ask("be handed a file", head(Operation.OFFER, name, 0), List.of(readOnly, writable));
  }

  /** Takes a name back. What is open under it stays open. */
  void withdraw(int name) throws EngineException {
    var _ = ask("give a file back", head(Operation.WITHDRAW, name, 0), List.of());
  }

  /** What QEMU opens when it shall open what was offered. */
  static String path(int name) {
    return "/offered/" + name;
  }

  /**
   * Hands device state over.
   *
   * @return the number under which QEMU takes it, once
   */
  int state(Descriptor file) throws EngineException {
    return ask("take device state", head(Operation.STATE, 0, 0), List.of(file)).descriptor();
  }

  /**
   * Makes the guest's memory what a map says. The guest must not have run yet.
   *
   * @param address of the guest's memory in the monitor
   * @param names under which the layers are offered
   */
  void map(long address, List<Piece> pieces, Map<Integer, Integer> names) throws EngineException {
    for (int from = 0; from < pieces.size(); from += MOST_PIECES) {
      List<Piece> some = pieces.subList(from, Math.min(pieces.size(), from + MOST_PIECES));
      ByteBuffer request = buffer(HEAD_BYTES + some.size() * PIECE_BYTES);
      request.put(head(Operation.MAP, some.size(), address));
      for (Piece piece : some) {
        int layer = names.getOrDefault(piece.layer(), MemoryMap.ZERO);
        request.putLong(piece.offset()).putLong(piece.length()).putLong(piece.offsetInLayer());
        request.putInt(layer).putInt(0);
      }
      var _ = ask("map its memory", request.flip(), List.of());
    }
  }

  /**
   * Makes a child, which waits then for {@link #go}. Asked of a child that waits itself, it makes a
   * sibling.
   *
   * @param descriptors those of {@code struct descriptors}, in its order
   */
  Forked fork(List<Descriptor> descriptors) throws EngineException {
    Answer answer = ask("fork", head(Operation.FORK, 0, 0), descriptors);
    return new Forked(
        answer.attempts(), Duration.ofNanos(answer.parking()), Duration.ofNanos(answer.cloning()));
  }

  /** What a new child says before it is asked anything. */
  Hello hello() throws EngineException {
    turn.lock();
    try {
      ControlSocket.Message message = socket.receive(PATIENCE);
      Answer answer = read(message, Operation.HELLO);
      if (answer.error() != 0 || message.sender() <= 0) {
        throw failed("a child can't take its descriptors: errno " + answer.error(), null);
      }
      return new Hello(message.sender(), answer.descriptor() == 1);
    } catch (IOException e) {
      throw failed("a child of the machine monitor does not come up: " + e.getMessage(), e);
    } finally {
      turn.unlock();
    }
  }

  /** Lets a child go on, as its parent was. */
  void go(User user) throws EngineException {
    ByteBuffer request = buffer(HEAD_BYTES + 2 * Integer.BYTES);
    switch (user) {
      case User.Same() -> request.put(head(Operation.GO, 0, 0)).putLong(0);
      case User.Own(int id) -> request.put(head(Operation.GO, 1, id)).putLong(0);
      case User.OwnAndRange(int id, int first, int count) ->
          request.put(head(Operation.GO, 2, id)).putInt(first).putInt(count);
    }
    var _ = ask("go on", request.flip(), List.of());
  }

  private static ByteBuffer head(Operation operation, int number, long value) {
    return buffer(HEAD_BYTES).putInt(operation.code).putInt(number).putLong(value).flip();
  }

  private static ByteBuffer buffer(int bytes) {
    return ByteBuffer.allocate(bytes).order(ByteOrder.nativeOrder());
  }

  private Answer ask(String what, ByteBuffer request, List<Descriptor> descriptors)
      throws EngineException {
    byte[] bytes = new byte[request.remaining()];
    int operation = request.getInt(0);
    request.get(bytes);
    turn.lock();
    try {
      socket.send(bytes, new ArrayList<>(descriptors));
      Answer answer = read(socket.receive(PATIENCE), operation);
      if (answer.error() != 0) {
        throw refused(what, answer.error());
      }
      return answer;
    } catch (EOFException e) {
      throw new EngineException(
          EngineException.Kind.GONE, "the machine monitor ended when it was to " + what, e);
    } catch (IOException e) {
      throw failed("the machine monitor does not " + what + ": " + e.getMessage(), e);
    } finally {
      turn.unlock();
    }
  }

  private static Answer read(ControlSocket.Message message, Operation expected) throws IOException {
    return read(message, expected.code);
  }

  private static Answer read(ControlSocket.Message message, int expected) throws IOException {
    if (message.bytes().length != ANSWER_BYTES) {
      throw new IOException("it answered " + message.bytes().length + " bytes");
    }
    ByteBuffer bytes = ByteBuffer.wrap(message.bytes()).order(ByteOrder.nativeOrder());
    if (bytes.getInt() != expected) {
      throw new IOException("it answered something else");
    }
    return new Answer(
        bytes.getInt(), bytes.getInt(), bytes.getInt(), bytes.getLong(), bytes.getLong());
  }

  private static EngineException refused(String what, int error) {
    String why =
        switch (error) {
          case EBUSY -> "its threads do not come to rest";
          case EAGAIN, ENOMEM -> "the host has no memory, or no room for another process";
          default -> "errno " + error;
        };
    return new EngineException(
        error == EAGAIN || error == ENOMEM
            ? EngineException.Kind.NO_ROOM
            : EngineException.Kind.FAILED,
        "the machine monitor can't " + what + ": " + why);
  }

  private static EngineException failed(
      String what, @org.jspecify.annotations.Nullable Exception cause) {
    return cause == null
        ? new EngineException(EngineException.Kind.FAILED, what)
        : new EngineException(EngineException.Kind.FAILED, what, cause);
  }

  @Override
  public void close() {
    socket.close();
  }
}
