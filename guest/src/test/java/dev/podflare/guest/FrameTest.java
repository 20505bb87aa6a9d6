package dev.podflare.guest;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ReadableByteChannel;
import java.nio.channels.WritableByteChannel;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;

class FrameTest {

  private static final int SMALL_BUFFER = 32;

  @Property
  void framesAreReadAsTheyWereSentHoweverTheirBytesAreCut(
      @ForAll("framesOfTheGuest") List<Frame> frames,
      @ForAll @Size(min = 1, max = 20) List<@IntRange(min = 1, max = 50) Integer> cuts)
      throws Exception {
    var wire = new ByteArrayOutputStream();
    for (Frame frame : frames) {
      wire.writeBytes(ScriptedGuest.frame(frame.kind(), frame.stream(), frame.payload()));
    }
    var reader =
        new FrameReader(
            new CutChannel(wire.toByteArray(), cuts), ByteBuffer.allocate(SMALL_BUFFER));
    for (Frame frame : frames) {
      assertSame(reader.next(), frame);
    }
    assertThat(reader.next()).isNull();
  }

  @Property
  void framesAreWrittenWholeHoweverLittleTheChannelTakes(
      @ForAll("framesOfTheGuest") List<Frame> frames,
      @ForAll @Size(min = 1, max = 20) List<@IntRange(min = 1, max = 50) Integer> cuts)
      throws Exception {
    var wire = new StingyChannel(cuts);
    var writer = new FrameWriter(wire, ByteBuffer.allocate(SMALL_BUFFER), () -> null);
    for (Frame frame : frames) {
      writer.write(frame);
    }
    writer.flush();
    var input = new DataInputStream(new ByteArrayInputStream(wire.taken.toByteArray()));
    for (Frame frame : frames) {
      assertThat(input.readInt()).isEqualTo(frame.length());
      assertThat(input.readByte()).isEqualTo(frame.kind().number());
      assertThat(input.readInt()).isEqualTo(frame.stream());
      assertThat(input.readNBytes(frame.length())).isEqualTo(frame.payload());
    }
    assertThat(input.read()).isNegative();
  }

  @Property
  void noPayloadBringsTheTokenOntoTheWire(
      @ForAll @Size(max = 12) List<@IntRange(min = 0, max = 40) Integer> pieces,
      @ForAll("streamsThatLookLikeATokensBeginning") int stream)
      throws Exception {
    byte[] token = ScriptedGuest.TOKEN.bytes();
    var payload = new ByteArrayOutputStream();
    for (int piece : pieces) {
      payload.write(token, Math.min(piece, 8), token.length - Math.min(piece, 8));
      payload.write(new byte[Math.max(0, piece - 32)]);
    }
    var wire = new ByteArrayOutputStream();
    var writer =
        new FrameWriter(
            Channels.newChannel(wire),
            ByteBuffer.allocate(SMALL_BUFFER),
            () -> ScriptedGuest.TOKEN);
    writer.write(new Frame(FrameKind.DATA, stream, payload.toByteArray()));
    writer.flush();
    assertThat(Collections.indexOfSubList(list(wire.toByteArray()), list(token))).isNegative();
    var input = new DataInputStream(new ByteArrayInputStream(wire.toByteArray()));
    var received = new ByteArrayOutputStream();
    while (input.available() > 0) {
      int length = input.readInt();
      assertThat(input.readByte()).isEqualTo(FrameKind.DATA.number());
      assertThat(input.readInt()).isEqualTo(stream);
      received.write(input.readNBytes(length));
    }
    assertThat(received.toByteArray()).isEqualTo(payload.toByteArray());
  }

  private static List<Byte> list(byte[] bytes) {
    var list = new ArrayList<Byte>();
    for (byte each : bytes) {
      list.add(each);
    }
    return list;
  }

  @Provide
  Arbitrary<Integer> streamsThatLookLikeATokensBeginning() {
    byte[] token = ScriptedGuest.TOKEN.bytes();
    return Arbitraries.integers().between(0, 8).map(at -> ByteBuffer.wrap(token).getInt(at));
  }

  @Property(tries = 2000)
  void anyBytesAreFramesOrAViolationOrAnEnd(@ForAll byte[] bytes) throws IOException {
    readToTheEnd(bytes);
  }

  @Property(tries = 2000)
  void aHeaderThatLiesIsAViolationOrAnEnd(
      @ForAll int length, @ForAll byte kind, @ForAll int stream, @ForAll byte[] rest)
      throws IOException {
    byte[] header = ScriptedGuest.header(length, kind, stream);
    byte[] bytes = Arrays.copyOf(header, header.length + rest.length);
    System.arraycopy(rest, 0, bytes, header.length, rest.length);
    readToTheEnd(bytes);
  }

  @Example
  void aPayloadThatIsOnlyAnnouncedCostsNoMoreThanABlock() throws Exception {
    byte[] header = ScriptedGuest.header(Limits.PAYLOAD, FrameKind.RESULT.number(), 1);
    ByteBuffer buffer = ByteBuffer.allocate(Limits.BLOCK);
    var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
    int times = 100;
    long before = threads.getCurrentThreadAllocatedBytes();
    for (int i = 0; i < times; i++) {
      var reader = new FrameReader(Channels.newChannel(new ByteArrayInputStream(header)), buffer);
      assertThatThrownBy(reader::next).isInstanceOf(EOFException.class);
    }
    long each = (threads.getCurrentThreadAllocatedBytes() - before) / times;
    assertThat(each).isLessThan(4 * Limits.BLOCK);
  }

  @Example
  void theLongestFrameIsRead() throws Exception {
    byte[] payload = new byte[Limits.PAYLOAD];
    Arrays.fill(payload, (byte) 7);
    byte[] wire = ScriptedGuest.frame(FrameKind.CLOSED, 1, payload);
    var reader =
        new FrameReader(
            Channels.newChannel(new ByteArrayInputStream(wire)), ByteBuffer.allocate(1000));
    assertSame(reader.next(), new Frame(FrameKind.CLOSED, 1, payload));
  }

  private static void readToTheEnd(byte[] bytes) throws IOException {
    var reader =
        new FrameReader(
            Channels.newChannel(new ByteArrayInputStream(bytes)),
            ByteBuffer.allocate(SMALL_BUFFER));
    try {
      for (Frame frame = reader.next(); frame != null; frame = reader.next()) {
        assertThat(frame.length()).isLessThanOrEqualTo(bytes.length);
      }
    } catch (ProtocolViolation violation) {
      assertThat(violation.what()).startsWith("it ");
    } catch (EOFException withinAFrame) {
      assertThat(bytes).isNotEmpty();
    }
  }

  private static void assertSame(Frame actual, Frame expected) {
    assertThat(actual).isNotNull();
    assertThat(actual.kind()).isEqualTo(expected.kind());
    assertThat(actual.stream()).isEqualTo(expected.stream());
    assertThat(Arrays.copyOf(actual.payload(), actual.length()))
        .isEqualTo(Arrays.copyOf(expected.payload(), expected.length()));
  }

  @Provide
  Arbitrary<List<Frame>> framesOfTheGuest() {
    Arbitrary<FrameKind> kinds =
        Arbitraries.of(
            FrameKind.DATA,
            FrameKind.HELLO,
            FrameKind.STDOUT,
            FrameKind.STDERR,
            FrameKind.RESULT,
            FrameKind.ERROR,
            FrameKind.CLOSED);
    Arbitrary<byte[]> payloads = Arbitraries.bytes().array(byte[].class).ofMaxSize(200);
    return Combinators.combine(kinds, Arbitraries.integers(), payloads)
        .as(Frame::new)
        .list()
        .ofMaxSize(10);
  }

  /** Gives its bytes in pieces of the sizes that it was told, over and over. */
  private static final class CutChannel implements ReadableByteChannel {
    private final ByteBuffer bytes;
    private final List<Integer> cuts;
    private int reads;

    CutChannel(byte[] bytes, List<Integer> cuts) {
      this.bytes = ByteBuffer.wrap(bytes);
      this.cuts = cuts;
    }

    @Override
    public int read(ByteBuffer into) {
      if (!bytes.hasRemaining()) {
        return -1;
      }
      int cut = cuts.get(reads++ % cuts.size());
      int length = Math.min(Math.min(cut, bytes.remaining()), into.remaining());
      into.put(bytes.slice(bytes.position(), length));
      bytes.position(bytes.position() + length);
      return length;
    }

    @Override
    public boolean isOpen() {
      return true;
    }

    @Override
    public void close() {}
  }

  /** Takes no more at once than it was told, over and over. */
  private static final class StingyChannel implements WritableByteChannel {
    private final ByteArrayOutputStream taken = new ByteArrayOutputStream();
    private final List<Integer> cuts;
    private int writes;

    StingyChannel(List<Integer> cuts) {
      this.cuts = new ArrayList<>(cuts);
    }

    @Override
    public int write(ByteBuffer from) {
      byte[] piece = new byte[Math.min(cuts.get(writes++ % cuts.size()), from.remaining())];
      from.get(piece);
      taken.writeBytes(piece);
      return piece.length;
    }

    @Override
    public boolean isOpen() {
      return true;
    }

    @Override
    public void close() {}
  }
}
