package dev.podflare.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.EOFException;
import java.io.IOException;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Against a process of its own, which does what messages say, honest or not. */
class ControlSocketTest {

  private static final Duration PATIENCE = Duration.ofSeconds(60);
  private static final Duration SHORT = Duration.ofMillis(20);

  @TempDir private Path directory;
  private Process peer;
  private ControlSocket socket;

  @BeforeEach
  void connect() throws Exception {
    Path script = Path.of(ControlSocketTest.class.getResource("/control-peer.py").toURI());
    // Longer than an address of a socket can be.
    Path place = Files.createDirectory(directory.resolve("long-".repeat(30)));
    Path here = Files.createSymbolicLink(directory.resolve("here"), place);
    peer =
        new ProcessBuilder("python3", script.toString(), here.resolve("socket").toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    assertThat(peer.inputReader().readLine()).isEqualTo("listening");
    socket = ControlSocket.connect(place.resolve("socket"), PATIENCE);
  }

  @AfterEach
  void close() {
    socket.close();
    peer.destroyForcibly();
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private void send(String text, Descriptor... passed) throws IOException {
    socket.send(bytes(text), List.of(passed));
  }

  private static String text(ControlSocket.Message message) {
    return new String(message.bytes(), StandardCharsets.UTF_8);
  }

  private String answer() throws IOException {
    return text(socket.receive(PATIENCE));
  }

  private static long openDescriptors() throws IOException {
    try (var all = Files.list(Path.of("/proc/self/fd"))) {
      return all.count();
    }
  }

  @Test
  void messages_arrive_one_by_one_with_their_sender() throws Exception {
    send("say one");
    send("say two");
    ControlSocket.Message first = socket.receive(PATIENCE);
    assertThat(text(first)).isEqualTo("one");
    assertThat(first.sender()).isEqualTo(peer.pid());
    assertThat(answer()).isEqualTo("two");
  }

  @Test
  void the_sender_is_the_process_that_sent_and_not_the_one_that_connected() throws Exception {
    send("fork");
    ControlSocket.Message message = socket.receive(PATIENCE);
    assertThat(message.sender()).isNotEqualTo(peer.pid()).isPositive();
    assertThat(text(message)).isEqualTo(Long.toString(message.sender()));
  }

  @Test
  void descriptors_go_along_in_their_order() throws Exception {
    Path one = Files.writeString(directory.resolve("one"), "first");
    Path two = Files.writeString(directory.resolve("two"), "second");
    try (Descriptor first = Descriptor.open(one, Descriptor.Access.READ);
        Descriptor second = Descriptor.open(two, Descriptor.Access.READ)) {
      send("read", first, second);
      assertThat(answer()).isEqualTo("first,second");
      send("count");
      assertThat(answer()).isEqualTo("0");
      List<Descriptor> most = Collections.nCopies(ControlSocket.MOST_DESCRIPTORS, first);
      socket.send(bytes("count"), most);
      assertThat(answer()).isEqualTo("64");
      List<Descriptor> tooMany = new ArrayList<>(most);
      tooMany.add(second);
      assertThatThrownBy(() -> socket.send(bytes("count"), tooMany))
          .isInstanceOf(IllegalArgumentException.class);
    }
  }

  @Test
  void descriptors_that_a_stranger_sends_do_not_become_ours() throws Exception {
    long before = openDescriptors();
    for (int i = 0; i < 50; i++) {
      send("press");
      ControlSocket.Message message = socket.receive(PATIENCE);
      assertThat(text(message)).isEqualTo("take these");
      assertThat(message.sender()).isEqualTo(peer.pid());
    }
    assertThat(openDescriptors()).isLessThan(before + 50);
  }

  @Test
  void a_message_that_is_too_long_is_an_error_and_the_next_one_is_not() throws Exception {
    send("long 4096");
    assertThat(answer()).hasSize(4096);
    send("long 4097");
    assertThatThrownBy(this::answer)
        .isInstanceOf(IOException.class)
        .hasMessage("a message has more than 4096 bytes");
    send("say next");
    assertThat(answer()).isEqualTo("next");
    for (int size : new int[] {0, 4097}) {
      assertThatThrownBy(() -> socket.send(new byte[size], List.of()))
          .isInstanceOf(IllegalArgumentException.class);
    }
  }

  @Test
  void an_empty_message_is_not_the_end() throws Exception {
    send("empty");
    ControlSocket.Message message = socket.receive(PATIENCE);
    assertThat(message.bytes()).isEmpty();
    assertThat(message.sender()).isEqualTo(peer.pid());
    send("end");
    assertThatThrownBy(this::answer).isInstanceOf(EOFException.class);
  }

  @Test
  void what_was_sent_before_the_end_still_comes() throws Exception {
    send("say last");
    send("end");
    assertThat(peer.waitFor(60, TimeUnit.SECONDS)).isTrue();
    assertThat(answer()).isEqualTo("last");
    assertThatThrownBy(this::answer).isInstanceOf(EOFException.class);
    assertThatThrownBy(() -> send("say more"))
        .isInstanceOf(IOException.class)
        .hasMessage("the other end is gone");
  }

  @Test
  void who_ends_with_messages_unread_is_gone_too() throws Exception {
    send("leave");
    send("say never read");
    assertThat(peer.waitFor(60, TimeUnit.SECONDS)).isTrue();
    assertThatThrownBy(this::answer).isInstanceOf(EOFException.class);
  }

  @Test
  void silence_is_a_timeout_that_says_so() {
    assertThatThrownBy(() -> socket.receive(SHORT))
        .isInstanceOf(SocketTimeoutException.class)
        .hasMessage("no message came within 20 ms");
  }

  @Test
  void a_pair_works_once_its_other_end_was_handed_over() throws Exception {
    try (ControlSocket.Pair pair = ControlSocket.pair()) {
      send("adopt", pair.theirs());
      pair.theirs().close();
      ControlSocket.Message first = pair.ours().receive(PATIENCE);
      assertThat(text(first)).isEqualTo("here");
      assertThat(first.sender()).isEqualTo(peer.pid());
      pair.ours().send(bytes("say again"), List.of());
      assertThat(text(pair.ours().receive(PATIENCE))).isEqualTo("again");
      peer.destroyForcibly();
      assertThatThrownBy(() -> pair.ours().receive(PATIENCE)).isInstanceOf(EOFException.class);
    }
  }

  @Test
  void nobody_listens_where_no_socket_is_or_a_link_leads() throws Exception {
    Path none = directory.resolve("none");
    assertThatThrownBy(() -> ControlSocket.connect(none, PATIENCE))
        .isInstanceOf(IOException.class)
        .hasMessageStartingWith(none + " can't be connected to");
    Path link = Files.createSymbolicLink(none, directory.resolve("here/socket"));
    assertThatThrownBy(() -> ControlSocket.connect(link, PATIENCE)).isInstanceOf(IOException.class);
    Path file = Files.writeString(directory.resolve("file"), "");
    assertThatThrownBy(() -> ControlSocket.connect(file, PATIENCE))
        .isInstanceOf(IOException.class)
        .hasMessageEndingWith("connect: Connection refused");
  }

  // ---- listening ----

  @Test
  void who_connects_is_accepted() throws Exception {
    Path place = directory.resolve("listens");
    try (Descriptor listener = UnixSocket.listen(place, UnixSocket.Kind.SEQPACKET)) {
      assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(place)))
          .isEqualTo("rw-------");
      assertThatThrownBy(() -> UnixSocket.accept(listener, SHORT))
          .isInstanceOf(SocketTimeoutException.class)
          .hasMessage("nobody connected within 20 ms");
      try (ControlSocket mine = ControlSocket.connect(place, PATIENCE);
          Descriptor accepted = UnixSocket.accept(listener, PATIENCE)) {
        send("adopt", accepted);
        assertThat(text(mine.receive(PATIENCE))).isEqualTo("here");
      }
    }
    assertThatThrownBy(() -> UnixSocket.listen(place, UnixSocket.Kind.STREAM))
        .isInstanceOf(IOException.class)
        .hasMessage("no socket can be made at " + place + ": bind: Address already in use");
  }

  @Test
  void where_nobody_accepts_a_connection_is_a_timeout() throws Exception {
    Path place = directory.resolve("full");
    List<ControlSocket> waiting = new ArrayList<>();
    try (Descriptor _ = UnixSocket.listen(place, UnixSocket.Kind.SEQPACKET)) {
      assertThatThrownBy(
              () -> {
                while (waiting.size() < 20) {
                  waiting.add(ControlSocket.connect(place, SHORT));
                }
              })
          .isInstanceOf(IOException.class)
          .hasMessageEndingWith("connect: Resource temporarily unavailable");
    } finally {
      waiting.forEach(ControlSocket::close);
    }
  }

  @Test
  void a_message_that_nobody_takes_is_a_timeout() throws Exception {
    try (ControlSocket.Pair pair = ControlSocket.pair(SHORT)) {
      assertThatThrownBy(
              () -> {
                while (true) {
                  pair.ours().send(new byte[4096], List.of());
                }
              })
          .isInstanceOf(SocketTimeoutException.class)
          .hasMessage("the other end took no message within 20 ms");
    }
  }

  @Test
  void a_stream_is_javas_own_when_it_is_connected_to() throws Exception {
    Path place = directory.resolve("stream");
    try (Descriptor listener = UnixSocket.listen(place, UnixSocket.Kind.STREAM);
        var client =
            java.nio.channels.SocketChannel.open(java.net.UnixDomainSocketAddress.of(place));
        Descriptor accepted = UnixSocket.accept(listener, PATIENCE)) {
      send("adopt", accepted);
      var read = java.nio.ByteBuffer.allocate(4);
      while (read.hasRemaining()) {
        assertThat(client.read(read)).isPositive();
      }
      assertThat(new String(read.array(), StandardCharsets.UTF_8)).isEqualTo("here");
    }
  }
}
