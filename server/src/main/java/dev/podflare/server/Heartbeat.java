package dev.podflare.server;

import dev.podflare.sandbox.ToldEvent;
import java.io.IOException;
import java.io.OutputStream;
import java.time.Duration;
import java.util.List;

/**
 * Blank lines in a stream of events that has been silent for a while. Relays close silent
 * connections, and a client can't tell silent code from a dead peer otherwise.
 */
record Heartbeat(Duration silence) {

  /** Clients give a stream up after three of these. */
  static final Heartbeat USUAL = new Heartbeat(Duration.ofSeconds(15));

  /** Waits for events no longer than it is given, and gives none if none came. */
  interface Events {
    List<ToldEvent> next(Duration longest) throws InterruptedException;
  }

  /** The next events, with a blank line on the stream for each silence before them. */
  List<ToldEvent> next(Events events, OutputStream out) throws IOException, InterruptedException {
    List<ToldEvent> batch = events.next(silence);
    while (batch.isEmpty()) {
      out.write('\n');
      out.flush();
      batch = events.next(silence);
    }
    return batch;
  }
}
