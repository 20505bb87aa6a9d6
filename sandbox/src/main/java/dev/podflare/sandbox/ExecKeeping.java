package dev.podflare.sandbox;

import java.io.IOException;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;

/** What the execs of all sandboxes of a host share. */
final class ExecKeeping implements AutoCloseable {

  private final ExecBlocks blocks;
  private final ExecRegistry registry;
  private final InstantSource clock;
  private final Timer timer;
  private final LongAdder begun = new LongAdder();
  private final ConcurrentHashMap<ExecEvent.Reason, Long> ended = new ConcurrentHashMap<>();

  /**
   * @param data where what they have said is kept
   */
  ExecKeeping(Path data, Database database, InstantSource clock, Timer timer) throws IOException {
    this.blocks = ExecBlocks.in(data);
    this.registry = new ExecRegistry(database);
    this.clock = clock;
    this.timer = timer;
  }

  ExecBlocks blocks() {
    return blocks;
  }

  ExecRegistry registry() {
    return registry;
  }

  InstantSource clock() {
    return clock;
  }

  Timer timer() {
    return timer;
  }

  void countBegun() {
    begun.increment();
  }

  void countEnded(ExecEvent.Reason reason) {
    ended.merge(reason, 1L, Long::sum);
  }

  ExecCounts counts() {
    return new ExecCounts(begun.sum(), ended);
  }

  /** It has ended: a next server need not know of it. */
  void forget(ExecId id) {
    try {
      registry.remove(id);
    } catch (Database.DatabaseException e) {
      // It ended with the server, after the registry. The next one finds that it runs no more.
      System.getLogger(ExecKeeping.class.getName())
          .log(System.Logger.Level.DEBUG, id + " stays written down", e);
    }
  }

  @Override
  public void close() {
    try {
      blocks.close();
    } catch (IOException e) {
      System.getLogger(ExecKeeping.class.getName())
          .log(System.Logger.Level.DEBUG, "the file of execs did not close cleanly", e);
    }
  }
}
