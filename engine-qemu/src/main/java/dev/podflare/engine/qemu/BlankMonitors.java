package dev.podflare.engine.qemu;

import dev.podflare.engine.EngineException;
import dev.podflare.engine.MachineShape;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Monitors with nothing in them, one for each shape of machine that was asked for lately. All
 * machines that are started from a snapshot are children of one: to start a monitor in its jail
 * takes a tenth of a second, to fork it a few milliseconds.
 *
 * <p>A blank monitor never runs a guest. Safe for use by many threads.
 */
final class BlankMonitors implements AutoCloseable {

  /** Beyond these the one that was not used for the longest time ends; each takes 20 MB. */
  private static final int MOST = 6;

  /** Starts one. */
  interface Source {
    QemuMicroVm launch(MachineShape shape) throws EngineException;
  }

  private final Source source;
  private final ReentrantLock launching = new ReentrantLock();

  /** The one that was used last comes last. */
  private final Map<MachineShape, QemuMicroVm> blanks = new LinkedHashMap<>();

  private boolean closed;

  BlankMonitors(Source source) {
    this.source = source;
  }

  /** The blank monitor of a shape; started first if there is none. */
  QemuMicroVm of(MachineShape shape) throws EngineException {
    launching.lock();
    try {
      if (closed) {
        throw new EngineException(EngineException.Kind.FAILED, "the engine is closed");
      }
      QemuMicroVm blank = blanks.remove(shape);
      if (blank == null || blank.exit().isDone()) {
        blank = source.launch(shape);
      }
      blanks.put(shape, blank);
      if (blanks.size() > MOST) {
        QemuMicroVm eldest = blanks.values().iterator().next();
        blanks.remove(eldest.shape());
        Thread.ofVirtual().start(eldest::close);
      }
      return blank;
    } finally {
      launching.unlock();
    }
  }

  @Override
  public void close() {
    List<QemuMicroVm> left;
    launching.lock();
    try {
      closed = true;
      left = new ArrayList<>(blanks.values());
      blanks.clear();
    } finally {
      launching.unlock();
    }
    left.forEach(QemuMicroVm::close);
  }
}
