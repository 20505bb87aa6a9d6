package dev.podflare.guest;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.Pipe;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class OutboxTest {

  private static final Frame LARGE = new Frame(FrameKind.DATA, 1, new byte[Limits.WINDOW + 1]);
  private static final Frame SMALL = new Frame(FrameKind.CANCEL, 1, new byte[20]);
  private static final Frame LAST = Frame.credit(7, 5);

  private final Outbox outbox = new Outbox();
  private Pipe wire;

  @BeforeEach
  void open() throws IOException {
    wire = Pipe.open();
  }

  @AfterEach
  void close() throws IOException {
    outbox.close();
    wire.sink().close();
    wire.source().close();
  }

  private static Deadline soon() {
    return Deadline.in(Duration.ofSeconds(60));
  }

  /** Lets the frames go that are queued, and counts them up to the last one. */
  private int writtenBefore(int lastStream) throws Exception {
    Thread.ofVirtual()
        .start(() -> {
          try {
            outbox.writeTo(
                new FrameWriter(wire.sink(), ByteBuffer.allocate(Limits.BLOCK), () -> null));
          } catch (IOException | InterruptedException theTestHasEnded) {
            Thread.currentThread().interrupt();
          }
        });
    int frames = 0;
    while (true) {
      ByteBuffer header = read(Limits.HEADER);
      int length = header.getInt();
      int stream = header.position(Integer.BYTES + 1).getInt();
      read(length);
      if (stream == lastStream) {
        return frames;
      }
      frames++;
    }
  }

  private ByteBuffer read(int length) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(length);
    while (bytes.hasRemaining()) {
      assertThat(wire.source().read(bytes)).isPositive();
    }
    return bytes.flip();
  }

  @Test
  void whatIsLargeWaitsForRoom() throws Exception {
    assertThat(outbox.send(LARGE, soon())).isTrue();
    assertThat(outbox.send(LARGE, Deadline.in(Duration.ofMillis(5)))).isFalse();
    assertThat(outbox.send(SMALL, Deadline.in(Duration.ZERO))).isFalse();
    outbox.post(LAST);
    assertThat(writtenBefore(LAST.stream())).isEqualTo(1);
    assertThat(outbox.send(LARGE, soon())).isTrue();
  }

  @Test
  void creditNeverWaits() throws Exception {
    assertThat(outbox.send(LARGE, soon())).isTrue();
    outbox.post(Frame.credit(1, 5));
    outbox.post(LAST);
    assertThat(writtenBefore(LAST.stream())).isEqualTo(2);
  }

  @Test
  void interruptsForAGuestThatReadsNothingAreBounded() throws Exception {
    for (int i = 0; i < 100_000; i++) {
      outbox.offer(SMALL);
    }
    outbox.post(LAST);
    assertThat(writtenBefore(LAST.stream())).isEqualTo(1024);
  }

  @Test
  void closingFreesWhoeverWaitsForRoom() throws Exception {
    assertThat(outbox.send(LARGE, soon())).isTrue();
    var waiting = new CompletableFuture<Boolean>();
    Thread.ofVirtual()
        .start(() -> {
          try {
            waiting.complete(outbox.send(LARGE, Deadline.never()));
          } catch (InterruptedException failure) {
            waiting.completeExceptionally(failure);
          }
        });
    outbox.close();
    assertThat(waiting.get(60, TimeUnit.SECONDS)).isTrue();
  }
}
