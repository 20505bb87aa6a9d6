package dev.podflare.guest;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Guests that do not answer a host's new beginning as an agent does. */
class HostileResumeTest {

  private static final Duration PATIENCE = Duration.ofSeconds(60);
  private static final int WORDS = 48;

  private SocketChannel host;
  private SocketChannel guest;

  @BeforeEach
  void connect(@TempDir Path directory) throws IOException {
    try (var server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      var address = UnixDomainSocketAddress.of(directory.resolve("agent.sock"));
      server.bind(address);
      host = SocketChannel.open(address);
      guest = server.accept();
    }
  }

  @AfterEach
  void hangUp() throws IOException {
    guest.close();
    host.close();
  }

  private Future<AgentConnection> resume(Duration patience) {
    var executor = Executors.newVirtualThreadPerTaskExecutor();
    try {
      return executor.submit(() -> AgentConnection.resume(host, ScriptedGuest.TOKEN, patience));
    } finally {
      executor.shutdown();
    }
  }

  private static Throwable failureOf(Future<AgentConnection> resumed) throws Exception {
    try {
      resumed.get(60, TimeUnit.SECONDS).close();
      throw new AssertionError("the connection was resumed");
    } catch (ExecutionException failed) {
      return failed.getCause();
    }
  }

  private byte[] hearWords() throws IOException {
    ByteBuffer words = ByteBuffer.allocate(WORDS);
    while (words.hasRemaining()) {
      assertThat(guest.read(words)).isPositive();
    }
    return words.array();
  }

  private void say(byte[]... parts) throws IOException {
    for (byte[] part : parts) {
      ByteBuffer bytes = ByteBuffer.wrap(part);
      while (bytes.hasRemaining()) {
        guest.write(bytes);
      }
    }
  }

  private static byte[] number(int number) {
    return ByteBuffer.allocate(Integer.BYTES).putInt(number).array();
  }

  @Test
  void theWordsAreTheTokenAndANonce() throws Exception {
    Future<AgentConnection> resumed = resume(PATIENCE);
    byte[] words = hearWords();
    assertThat(words).startsWith(ScriptedGuest.TOKEN.bytes());
    say(words, number(7));
    try (AgentConnection connection = resumed.get(60, TimeUnit.SECONDS)) {
      assertThat(connection.lost()).isNotDone();
    }
  }

  @Test
  void halfATokenHalfAFrameAndAnAnswerToSomebodyElseArePassedOver() throws Exception {
    Future<AgentConnection> resumed = resume(PATIENCE);
    byte[] words = hearWords();
    byte[] token = ScriptedGuest.TOKEN.bytes();
    say(new byte[100_000], token, "0123456789abcdef".getBytes(StandardCharsets.US_ASCII));
    say(number(3), ScriptedGuest.frame(FrameKind.STDOUT, 1, new byte[5]), token, words, number(9));
    try (AgentConnection connection = resumed.get(60, TimeUnit.SECONDS)) {
      assertThat(connection.lost()).isNotDone();
    }
  }

  @Test
  void silenceIsNotWaitedForLongerThanSaidAndTheChannelIsClosed() throws Exception {
    assertThat(failureOf(resume(Duration.ofMillis(50)))).isInstanceOf(GuestSilentException.class);
    assertThat(host.isOpen()).isFalse();
  }

  @Test
  void aGuestThatEndsIsLost() throws Exception {
    Future<AgentConnection> resumed = resume(PATIENCE);
    hearWords();
    guest.close();
    assertThat(failureOf(resumed)).isInstanceOf(GuestLostException.class);
    assertThat(host.isOpen()).isFalse();
  }

  @Test
  void aGuestThatEndsInTheMiddleOfItsAnswerIsLost() throws Exception {
    Future<AgentConnection> resumed = resume(PATIENCE);
    say(hearWords(), new byte[3]);
    guest.close();
    assertThat(failureOf(resumed)).isInstanceOf(GuestLostException.class);
  }

  @Test
  void aGuestThatGoesOnTalkingForEverViolatesTheProtocol() throws Exception {
    Future<AgentConnection> resumed = resume(PATIENCE);
    byte[] block = new byte[1 << 20];
    assertThatThrownBy(
            () -> {
              for (int i = 0; i < 64; i++) {
                say(block);
              }
            })
        .isInstanceOf(IOException.class);
    assertThat(failureOf(resumed)).hasMessageContaining("went on talking");
  }

  @Test
  void aNumberThatNoStreamHasViolatesTheProtocol() throws Exception {
    Future<AgentConnection> resumed = resume(PATIENCE);
    say(hearWords(), number(-1));
    assertThat(failureOf(resumed)).hasMessageContaining("can't have been opened");
  }

  @Test
  void aStreamOfBeforeIsNotSpokenOnAgain() throws Exception {
    Future<AgentConnection> resumed = resume(PATIENCE);
    say(hearWords(), number(0), ScriptedGuest.frame(FrameKind.STDOUT, 1, new byte[1]));
    try (AgentConnection connection = resumed.get(60, TimeUnit.SECONDS)) {
      assertThat(connection.lost().get(60, TimeUnit.SECONDS).kind())
          .isEqualTo(GuestLoss.Kind.VIOLATION);
    }
  }
}
