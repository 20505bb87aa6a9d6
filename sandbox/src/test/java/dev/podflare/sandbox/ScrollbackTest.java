package dev.podflare.sandbox;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class ScrollbackTest {

  private static final int ROOM = 1000;

  private final ScrollbackRoom room = new ScrollbackRoom(ROOM);
  private final Scrollback scrollback = new Scrollback(room);
  private final Random random = new Random(5);
  private byte[] said = {};

  private void say(int size) {
    byte[] bytes = new byte[size];
    random.nextBytes(bytes);
    scrollback.append(ByteBuffer.wrap(bytes));
    int before = said.length;
    said = Arrays.copyOf(said, before + size);
    System.arraycopy(bytes, 0, said, before, size);
  }

  private void assertKept(int size) {
    assertThat(scrollback.end()).isEqualTo(said.length);
    assertThat(scrollback.end() - scrollback.begin()).isEqualTo(size);
    long at = scrollback.begin();
    while (at < scrollback.end()) {
      byte[] read = scrollback.read(at, 1 + random.nextInt(50_000));
      assertThat(read).isEqualTo(Arrays.copyOfRange(said, (int) at, (int) at + read.length));
      at += read.length;
    }
  }

  @Test
  void everythingIsKeptUntilItIsAMebibyte() {
    while (said.length < Scrollback.KEPT - 20_000) {
      say(random.nextInt(20_000));
      assertKept(said.length);
    }
  }

  @Test
  void theLastMebibyteIsKept() {
    say(3 * Scrollback.KEPT + 12_345);
    assertKept(Scrollback.KEPT);
    say(1);
    assertKept(Scrollback.KEPT);
  }

  @Test
  void memoryIsTakenOnlyAsItIsNeededAndGivenBack() {
    say(Scrollback.FREE_CHUNKS * Scrollback.CHUNK);
    assertThat(room.free()).isEqualTo(ROOM);
    say(1);
    assertThat(room.free()).isEqualTo(ROOM - 1);
    say(5 * Scrollback.KEPT);
    assertThat(room.free()).isGreaterThanOrEqualTo(ROOM - Scrollback.KEPT / Scrollback.CHUNK);
    scrollback.clear();
    scrollback.clear();
    assertThat(room.free()).isEqualTo(ROOM);
    assertThat(scrollback.begin()).isEqualTo(scrollback.end());
  }

  @Test
  void withoutRoomLessIsKeptAndNothingElseIsLost() {
    Scrollback poor = new Scrollback(new ScrollbackRoom(2));
    byte[] bytes = new byte[20 * Scrollback.CHUNK + 7];
    random.nextBytes(bytes);
    poor.append(ByteBuffer.wrap(bytes));
    int kept = (Scrollback.FREE_CHUNKS + 1) * Scrollback.CHUNK + 7;
    assertThat(poor.begin()).isEqualTo(bytes.length - kept);
    assertThat(poor.read(poor.begin(), Integer.MAX_VALUE))
        .isEqualTo(Arrays.copyOfRange(bytes, bytes.length - kept, bytes.length));
  }
}
