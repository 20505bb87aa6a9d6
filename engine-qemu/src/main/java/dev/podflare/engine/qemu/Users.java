package dev.podflare.engine.qemu;

import dev.podflare.engine.EngineException;
import dev.podflare.host.HostException;
import dev.podflare.host.ProcessIdentity;
import dev.podflare.host.UserRange;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * The users under which the monitors of one engine run: a range that no other engine of this host
 * has. A family, which is a machine and all that is forked from it, shares one; two families never
 * do.
 *
 * <p>Safe for use by many threads.
 */
final class Users {

  private final UserRange range;
  private final Map<Integer, Integer> holders = new TreeMap<>();

  private Users(UserRange range) {
    this.range = range;
  }

  /** The users of the engine with this directory, the same ones each time. */
  static Users of(Path directory) throws HostException {
    return new Users(UserRange.take(directory));
  }

  UserRange range() {
    return range;
  }

  /** A user that nobody has. */
  synchronized Held take() throws EngineException {
    for (int id = range.first(); id < range.first() + range.count(); id++) {
      if (!holders.containsKey(id)) {
        return hold(id);
      }
    }
    throw new EngineException(
        EngineException.Kind.NO_ROOM, "all " + range.count() + " users of this server are taken");
  }

  /** A user that somebody may have. */
  synchronized Held hold(int id) {
    holders.merge(id, 1, Integer::sum);
    return new Held(id);
  }

  /**
   * Processes of these users that run since before a time, but for some.
   *
   * @param ticks clock ticks since the host's boot
   */
  List<ProcessHandle> processes(long ticks, Set<Long> butFor) {
    return ProcessHandle.allProcesses()
        .filter(process -> !butFor.contains(process.pid()))
        .filter(process -> range.contains(process.pid()))
        .filter(process ->
            ProcessIdentity.of(process.pid())
                .filter(identity -> identity.startTicks() < ticks)
                .isPresent())
        .toList();
  }

  private synchronized void release(int id) {
    holders.computeIfPresent(id, (_, count) -> count == 1 ? null : count - 1);
  }

  /** A user that is taken as long as this, or another one of it, is not closed. */
  final class Held implements AutoCloseable {
    private final int id;
    private boolean closed;

    private Held(int id) {
      this.id = id;
    }

    int id() {
      return id;
    }

    Held again() {
      return hold(id);
    }

    @Override
    public void close() {
      synchronized (Users.this) {
        if (!closed) {
          closed = true;
          release(id);
        }
      }
    }
  }
}
