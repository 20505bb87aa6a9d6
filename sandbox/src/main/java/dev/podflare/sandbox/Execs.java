package dev.podflare.sandbox;

import java.util.ArrayDeque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The execs of one sandbox: those that wait or run, and the last ones that have ended.
 *
 * <p>What they have said takes a limited room. Beyond it the oldest output goes, of whichever exec
 * it is.
 */
final class Execs {

  static final int MOST_ENDED = 32;
  static final int MOST_IN_BACKGROUND = 32;
  static final int MOST_WAITING_UNREAD = 32;
  static final long MOST_BYTES = 64L << 20;

  private final SandboxId sandbox;
  private final ExecKeeping keeping;
  private final ReentrantLock lock = new ReentrantLock();

  /** Oldest first. */
  private final Map<ExecId, Exec> all = new LinkedHashMap<>();

  private final ArrayDeque<Exec> ended = new ArrayDeque<>();
  private boolean closed;

  Execs(SandboxId sandbox, ExecKeeping keeping) {
    this.sandbox = sandbox;
    this.keeping = keeping;
  }

  // ---- look ----

  List<ExecInfo> infos() {
    lock.lock();
    try {
      return all.values().stream().map(Exec::info).toList();
    } finally {
      lock.unlock();
    }
  }

  /** The one that has the turn; empty if none has. */
  Optional<ExecId> running() {
    return infos().stream()
        .filter(exec -> !exec.background() && exec.state() == ExecInfo.State.RUNNING)
        .map(ExecInfo::id)
        .findFirst();
  }

  Exec require(ExecId id) {
    lock.lock();
    try {
      Exec exec = all.get(id);
      if (exec == null) {
        throw Refusals.noExec();
      }
      return exec;
    } finally {
      lock.unlock();
    }
  }

  /** Attaches a reader, before the exec can be forgotten. */
  ExecStream read(ExecId id, long from) {
    lock.lock();
    try {
      return require(id).read(from);
    } finally {
      lock.unlock();
    }
  }

  // ---- change ----

  /** One whose asker waits with it. */
  Exec attended(ExecRequest request) {
    return add(Exec.asked(sandbox, request, false, this, keeping));
  }

  /**
   * One that nobody waits with.
   *
   * @throws SandboxException if there are too many of these
   */
  Exec unattended(ExecRequest request, boolean background) {
    lock.lock();
    try {
      long like =
          all.values().stream()
              .filter(exec -> exec.isBackground() == background)
              .filter(exec ->
                  background
                      ? exec.info().state() != ExecInfo.State.ENDED
                      : exec.info().state() == ExecInfo.State.QUEUED)
              .count();
      if (background && like >= MOST_IN_BACKGROUND) {
        throw Refusals.tooManyInBackground(MOST_IN_BACKGROUND);
      }
      if (!background && like >= MOST_WAITING_UNREAD) {
        throw Refusals.tooManyWaiting(MOST_WAITING_UNREAD);
      }
      return add(Exec.asked(sandbox, request, background, this, keeping));
    } finally {
      lock.unlock();
    }
  }

  /** One that an earlier server wrote down. */
  Exec known(ExecRecord known) {
    return add(Exec.known(known, this, keeping));
  }

  /** One that was found running. */
  Exec found() {
    return add(Exec.found(sandbox, this, keeping));
  }

  private Exec add(Exec exec) {
    lock.lock();
    try {
      if (closed) {
        throw Refusals.noSandbox();
      }
      all.put(exec.id(), exec);
      return exec;
    } finally {
      lock.unlock();
    }
  }

  /** Each says so once. */
  void ended(Exec exec) {
    lock.lock();
    try {
      if (all.containsKey(exec.id())) {
        ended.add(exec);
        if (ended.size() > MOST_ENDED) {
          forget(ended.remove());
        }
      }
    } finally {
      lock.unlock();
    }
  }

  /** Its asker has been told all that there is to say of it. */
  void forget(Exec exec) {
    lock.lock();
    try {
      if (all.remove(exec.id()) != null) {
        ended.remove(exec);
        exec.log().release();
      }
    } finally {
      lock.unlock();
    }
  }

  void dropWhatIsTooMuch() {
    lock.lock();
    try {
      long size = all.values().stream().mapToLong(exec -> exec.log().size()).sum();
      for (Exec oldest : all.values()) {
        while (size > MOST_BYTES && oldest.log().dropOldest()) {
          size -= ExecBlocks.BLOCK;
        }
      }
    } finally {
      lock.unlock();
    }
  }

  /** The sandbox is no more; who reads one of them may read on. */
  void close() {
    lock.lock();
    try {
      closed = true;
      List.copyOf(all.values()).forEach(this::forget);
    } finally {
      lock.unlock();
    }
  }
}
