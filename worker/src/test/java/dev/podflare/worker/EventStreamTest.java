package dev.podflare.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class EventStreamTest {
  private static List<SessionEvent> read(String text) throws ProviderException {
    List<SessionEvent> events = new ArrayList<>();
    try (EventStream stream =
        new EventStream(new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8)), 1000)) {
      for (Optional<SessionEvent> event = stream.next(); event.isPresent(); event = stream.next()) {
        events.add(event.get());
      }
    }
    return events;
  }

  @Test
  void comments_pings_and_other_fields_are_passed_over() throws Exception {
    assertThat(
            read(
                """
                : open

                event: ping
                data: {"type": "ping"}

                id: 7
                event: message
                data: {"type": "session.status_terminated"}

                """))
        .containsExactly(new SessionEvent.Ended());
  }

  @Test
  void an_event_may_have_several_lines_with_either_end() throws Exception {
    assertThat(read("data: {\"type\":\r\ndata:\"session.deleted\"}\r\n\r\n"))
        .containsExactly(new SessionEvent.Ended());
  }

  @Test
  void an_event_that_is_cut_off_at_the_end_is_none() throws Exception {
    assertThat(read("data: {\"type\":\"session.deleted\"}\n")).isEmpty();
  }

  @Test
  void an_event_that_is_too_long_ends_it() {
    assertThatThrownBy(() -> read("data: " + "x".repeat(2000)))
        .isInstanceOfSatisfying(ProviderException.class, e -> assertThat(e.isFinal()).isTrue())
        .hasMessageContaining("1000 bytes");
    assertThatThrownBy(() -> read(("data: " + "x".repeat(500) + "\n").repeat(5)))
        .hasMessageContaining("1000 bytes");
  }

  @Test
  void what_is_not_json_ends_it() {
    assertThatThrownBy(() -> read("data: {\n\n")).hasMessageContaining("not JSON");
  }

  @Test
  void a_connection_that_breaks_may_be_made_again() {
    InputStream broken =
        new InputStream() {
          @Override
          public int read() throws IOException {
            throw new IOException("reset");
          }

          @Override
          public int read(byte[] into, int offset, int length) throws IOException {
            throw new IOException("reset");
          }
        };
    try (EventStream stream = new EventStream(broken)) {
      assertThatThrownBy(stream::next)
          .isInstanceOfSatisfying(ProviderException.class, e -> assertThat(e.isFinal()).isFalse());
    }
  }
}
