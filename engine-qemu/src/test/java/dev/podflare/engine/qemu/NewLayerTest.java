package dev.podflare.engine.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.engine.EngineException;
import dev.podflare.engine.MicroVmId;
import dev.podflare.host.Extent;
import dev.podflare.host.ProcessMemory;
import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The memory is this process's own. Needs root. */
class NewLayerTest {

  private static final int PAGE = ProcessMemory.PAGE;

  /** Of no monitor. */
  private static final int USER = 54_321;

  /** A few more than the spare has. */
  private static final long PAGES = SpareLayer.BYTES / PAGE + 300;

  /** All but each hundredth page. */
  private static final List<Extent> MANY =
      java.util.stream.LongStream.range(0, PAGES / 100)
          .mapToObj(i -> new Extent(i * 100 * PAGE, 99 * PAGE))
          .toList();

  /** As many as there are. */
  private static final List<Extent> ALL = List.of(new Extent(0, PAGES * PAGE));

  @TempDir private Path temporary;
  private Arena arena;
  private MemorySegment guest;
  private ProcessMemory memory;
  private VmDirectory machine;
  private SnapshotFiles snapshot;
  private SpareLayer spare;
  private LayeredMemory monitor;

  @BeforeEach
  void prepare() throws IOException {
    arena = Arena.ofShared();
    guest = arena.allocate(PAGES * PAGE, PAGE);
    for (long page = 0; page < PAGES; page++) {
      guest.asSlice(page * PAGE, PAGE).fill((byte) (page % 251));
    }
    memory = new ProcessMemory(ProcessHandle.current().pid(), guest.address(), PAGES * PAGE);
    machine = VmDirectory.create(temporary, MicroVmId.random());
    snapshot = new SnapshotFiles(Files.createDirectory(temporary.resolve("snapshot")));
    spare = new SpareLayer(temporary.resolve("spare"));
    monitor = new LayeredMemory(machine.memorySocket(), guest.address());
  }

  @AfterEach
  void close() {
    spare.close();
    arena.close();
  }

  private NewLayer layerOverSpare() throws IOException {
    long end = System.nanoTime() + Duration.ofSeconds(60).toNanos();
    while (System.nanoTime() < end) {
      NewLayer layer = NewLayer.prepare(machine, snapshot, 1, spare, USER);
      if (Files.exists(machine.newLayer())) {
        return layer;
      }
      layer.close();
      Files.delete(snapshot.layers().memory(1));
      Thread.onSpinWait();
    }
    throw new AssertionError("no spare layer was made");
  }

  private void assertHolds(List<Extent> extents) throws IOException {
    byte[] content = Files.readAllBytes(snapshot.layers().memory(1));
    assertThat(content.length).isEqualTo(Extent.bytes(extents));
    ByteBuffer expected = ByteBuffer.allocate(content.length);
    for (Extent extent : extents) {
      expected.put(guest.asSlice(extent.offset(), extent.length()).asByteBuffer());
    }
    assertThat(expected.flip().mismatch(ByteBuffer.wrap(content))).isEqualTo(-1);
  }

  private void assertFails(NewLayer layer, List<Extent> extents, EngineException.Kind kind) {
    assertThatThrownBy(() -> layer.take(extents, memory, monitor))
        .isInstanceOfSatisfying(EngineException.class, e -> assertThat(e.kind()).isEqualTo(kind));
  }

  @Test
  void what_the_monitor_writes_and_what_is_copied_lie_one_after_the_other() throws Exception {
    for (List<Extent> extents : List.of(MANY, ALL)) {
      try (AnsweringMonitor answering = new AnsweringMonitor(0);
          NewLayer layer = layerOverSpare()) {
        layer.take(extents, memory, monitor);
        layer.cutTo(Extent.bytes(extents));
        assertThat(answering.written.get())
            .isEqualTo(Math.min(SpareLayer.BYTES, Extent.bytes(extents)));
      }
      assertHolds(extents);
      Files.delete(snapshot.layers().memory(1));
    }
  }

  @Test
  void what_the_monitor_refuses_to_write_is_copied() throws Exception {
    try (AnsweringMonitor _ = new AnsweringMonitor(2);
        NewLayer layer = layerOverSpare()) {
      layer.take(MANY, memory, monitor);
      layer.cutTo(Extent.bytes(MANY));
    }
    assertHolds(MANY);
  }

  @Test
  void a_monitor_that_is_gone_ends_the_cut() throws Exception {
    try (NewLayer layer = layerOverSpare()) {
      assertFails(layer, ALL, EngineException.Kind.GONE);
    }
  }

  @Test
  void without_a_spare_all_is_copied() throws Exception {
    spare.close();
    try (NewLayer layer = NewLayer.prepare(machine, snapshot, 1, spare, USER)) {
      layer.take(MANY, memory, monitor);
      layer.cutTo(Extent.bytes(MANY));
    }
    assertHolds(MANY);
  }

  @Test
  void what_does_not_fit_is_not_begun() throws Exception {
    try (NewLayer layer = layerOverSpare()) {
      assertFails(layer, List.of(new Extent(0, 1L << 60)), EngineException.Kind.NO_ROOM);
      assertThat(Files.size(snapshot.layers().memory(1))).isEqualTo(SpareLayer.BYTES);
    }
  }

  @Test
  void only_a_layer_that_the_machine_stands_on_keeps_its_name_there() throws Exception {
    Path own = machine.layers().memory(1);
    try (NewLayer _ = layerOverSpare()) {
      assertThat(own).exists();
      assertThat(machine.newLayer()).exists();
    }
    assertThat(own).doesNotExist();
    assertThat(machine.newLayer()).doesNotExist();
    Files.delete(snapshot.layers().memory(1));
    try (NewLayer layer = NewLayer.prepare(machine, snapshot, 1, spare, USER)) {
      layer.belongsToMachine();
    }
    assertSealed(own);
    assertThat(machine.newLayer()).doesNotExist();
  }

  private static void assertSealed(Path layer) throws IOException {
    assertThat(Files.getAttribute(layer, "unix:uid")).isEqualTo(0);
    assertThat(Files.getPosixFilePermissions(layer))
        .isEqualTo(PosixFilePermissions.fromString("r--r--r--"));
  }

  @Test
  void a_layer_that_a_crash_left_to_the_monitor_is_taken_back() throws Exception {
    Path own = machine.layers().memory(1);
    // A crash closes nothing.
    NewLayer left = layerOverSpare();
    try (left) {
      assertThat(Files.getAttribute(own, "unix:uid")).isEqualTo(USER);
      assertThat(Files.getPosixFilePermissions(own)).contains(PosixFilePermission.OTHERS_READ);
      machine.layers().write(MemoryMap.of(PAGES * PAGE, 1));
      Path unfinished = Files.createFile(machine.layers().memory(2));
      NewLayer.recover(machine);
      assertThat(unfinished).doesNotExist();
      assertSealed(own);
      assertThat(machine.newLayer()).doesNotExist();
    }
  }

  /** Carries requests out as layers.c does, or answers each with an errno. */
  private final class AnsweringMonitor implements AutoCloseable {
    private final ServerSocketChannel server;
    private final int errno;
    private final AtomicLong written = new AtomicLong();

    AnsweringMonitor(int errno) throws IOException {
      this.errno = errno;
      server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
      server.bind(UnixDomainSocketAddress.of(machine.memorySocket()));
      Thread.ofPlatform().daemon().start(this::serve);
    }

    private void serve() {
      try {
        while (true) {
          try (SocketChannel channel = server.accept()) {
            answer(channel);
          }
        }
      } catch (java.nio.channels.ClosedChannelException closing) {
        Thread.currentThread().interrupt();
      } catch (IOException e) {
        throw new java.io.UncheckedIOException(e);
      }
    }

    private void answer(SocketChannel channel) throws IOException {
      ByteBuffer head = receive(channel, 16);
      assertThat(head.getLong()).isEqualTo(guest.address());
      int pieces = head.getInt();
      try (FileChannel file = FileChannel.open(machine.newLayer(), StandardOpenOption.WRITE)) {
        for (int i = 0; i < pieces; i++) {
          ByteBuffer piece = receive(channel, 32);
          long offset = piece.getLong();
          long length = piece.getLong();
          long at = piece.getLong();
          assertThat(piece.getInt()).isEqualTo(MemoryMap.NEW);
          if (errno == 0) {
            written.addAndGet(file.write(guest.asSlice(offset, length).asByteBuffer(), at));
          }
        }
      }
      ByteBuffer answer = ByteBuffer.allocate(4).order(ByteOrder.nativeOrder()).putInt(errno);
      channel.write(answer.flip());
    }

    private ByteBuffer receive(SocketChannel channel, int count) throws IOException {
      ByteBuffer bytes = ByteBuffer.allocate(count).order(ByteOrder.nativeOrder());
      while (bytes.hasRemaining()) {
        if (channel.read(bytes) < 0) {
          throw new EOFException("a request ended early");
        }
      }
      return bytes.flip();
    }

    @Override
    public void close() throws IOException {
      server.close();
      Files.delete(machine.memorySocket());
    }
  }
}
