package dev.podflare.sandbox;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * A turn that one at a time has, in the order in which they asked for it.
 *
 * <p>Beside what a fair semaphore does: taking a place in the line and waiting in it are two steps,
 * which may be of two threads, so that the order is settled before anybody waits; and a place can
 * be given up by somebody else than who waits in it.
 */
final class Turns {

  private final ReentrantLock lock = new ReentrantLock();
  private final ArrayDeque<Place> line = new ArrayDeque<>();
  private boolean taken;

  private enum Standing {
    WAITS,
    HAS_TURN,
    GAVE_UP
  }

  /** A place in the line; one must {@link #await} in it, or {@link #giveUp} it. */
  final class Place {

    private final Condition changed = lock.newCondition();
    private Standing standing = Standing.WAITS;

    private Place() {}

    /**
     * Waits for the turn.
     *
     * @return false if the place was given up; there is no turn to give back then
     */
    boolean await() throws InterruptedException {
      return await(Duration.ofNanos(Long.MAX_VALUE));
    }

    /**
     * Waits for the turn, and gives the place up if it has not come in this time.
     *
     * @return whether it came
     */
    boolean await(Duration longest) throws InterruptedException {
      lock.lock();
      boolean mine = false;
      try {
        long left = longest.toNanos();
        while (standing == Standing.WAITS && left > 0) {
          left = changed.awaitNanos(left);
        }
        mine = standing == Standing.HAS_TURN;
        return mine;
      } finally {
        if (!mine) {
          leave();
        }
        lock.unlock();
      }
    }

    /**
     * Waits for the turn no longer than this, and keeps the place.
     *
     * @return whether the waiting is over: the turn has come, or the place was given up
     */
    boolean settlesWithin(Duration longest) throws InterruptedException {
      lock.lock();
      boolean waited = false;
      try {
        long left = longest.toNanos();
        while (standing == Standing.WAITS && left > 0) {
          left = changed.awaitNanos(left);
        }
        waited = true;
        return standing != Standing.WAITS;
      } finally {
        if (!waited) {
          leave();
        }
        lock.unlock();
      }
    }

    /** Leaves the line, unless the turn has come already. Whoever waits in this place learns it. */
    void giveUp() {
      lock.lock();
      try {
        if (standing == Standing.WAITS) {
          leave();
        }
      } finally {
        lock.unlock();
      }
    }

    /** Also with the turn, if it came to somebody who was interrupted. */
    private void leave() {
      if (standing == Standing.HAS_TURN) {
        pass();
      }
      line.remove(this);
      standing = Standing.GAVE_UP;
      changed.signal();
    }
  }

  /** Takes the last place in the line; without a line, that is the turn. */
  Place queue() {
    lock.lock();
    try {
      Place place = new Place();
      if (taken) {
        line.add(place);
      } else {
        taken = true;
        place.standing = Standing.HAS_TURN;
      }
      return place;
    } finally {
      lock.unlock();
    }
  }

  /** Takes the turn if nobody has it. */
  boolean tryTake() {
    lock.lock();
    try {
      boolean free = !taken;
      taken = true;
      return free;
    } finally {
      lock.unlock();
    }
  }

  /** Gives the turn to who waits longest. */
  void release() {
    lock.lock();
    try {
      pass();
    } finally {
      lock.unlock();
    }
  }

  private void pass() {
    Place next = line.poll();
    if (next == null) {
      taken = false;
    } else {
      next.standing = Standing.HAS_TURN;
      next.changed.signal();
    }
  }
}
