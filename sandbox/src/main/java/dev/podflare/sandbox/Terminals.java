package dev.podflare.sandbox;

import dev.podflare.guest.AgentConnection;
import dev.podflare.guest.GuestException;
import dev.podflare.guest.GuestRefusedException;
import dev.podflare.guest.GuestTerminal;
import dev.podflare.guest.GuestTerminalInfo;
import dev.podflare.guest.TerminalCall;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The terminals of one machine: with it they move to another sandbox in a merge, and end.
 *
 * <p>Their names are kept in the guest, so a machine that is a copy, that was frozen, or whose
 * server died has its terminals still. What they said before is not kept there.
 */
final class Terminals {

  /** Of one machine, with those that have ended and can still be read. */
  static final int MOST = 16;

  /** The code by which an agent says that it has never heard of this. */
  private static final String UNSUPPORTED = "unsupported";

  private static final Duration ANSWER_PATIENCE = Duration.ofSeconds(10);

  private final InstantSource clock;
  private final ScrollbackRoom room;
  private final ReentrantLock lock = new ReentrantLock();
  private final Map<TerminalId, Terminal> listed = new LinkedHashMap<>();
  private int running;
  private boolean closed;

  Terminals(InstantSource clock, ScrollbackRoom room) {
    this.clock = clock;
    this.room = room;
  }

  Terminal open(AgentConnection agent, OpenTerminal request)
      throws GuestException, InterruptedException {
    reserve();
    boolean begun = false;
    try {
      TerminalId id = TerminalId.random();
      Instant now = clock.instant();
      GuestTerminal guest =
          agent.terminal(
              new TerminalCall(
                  id.value(), request.cmd(), request.cols(), request.rows(), request.cwd(), now));
      begun = true;
      return begin(
          new Terminal(id, request.cmd(), request.cols(), request.rows(), now, guest, room));
    } catch (GuestRefusedException refused) {
      switch (refused.code()) {
        case UNSUPPORTED -> throw Refusals.terminalsUnsupported();
        case GuestRefusedException.BUSY -> throw Refusals.busy("has too much going on");
        default -> throw refused;
      }
    } finally {
      if (!begun) {
        ended();
      }
    }
  }

  /** Goes on with the terminals of before the host began anew. */
  void takeOver(AgentConnection agent) throws GuestException, InterruptedException {
    for (GuestTerminalInfo told : told(agent)) {
      // The guest may say what it likes: a name that is none, or that is there already, is
      // nobody's.
      Optional<TerminalId> id = TerminalId.parse(told.name()).filter(name -> find(name).isEmpty());
      if (id.isPresent() && running < MOST) {
        takeOver(agent, told, id.get());
      }
    }
  }

  private static List<GuestTerminalInfo> told(AgentConnection agent)
      throws GuestException, InterruptedException {
    try {
      return agent.terminals();
    } catch (GuestRefusedException refused) {
      if (refused.code().equals(UNSUPPORTED)) {
        return List.of();
      }
      throw refused;
    }
  }

  private void takeOver(AgentConnection agent, GuestTerminalInfo told, TerminalId id)
      throws GuestException, InterruptedException {
    reserve();
    boolean begun = false;
    try {
      GuestTerminal guest = agent.rejoin(told);
      begun = true;
      var _ =
          begin(
              new Terminal(id, told.cmd(), told.cols(), told.rows(), told.created(), guest, room));
    } catch (GuestRefusedException notThereAnyMore) {
      System.getLogger(Terminals.class.getName())
          .log(System.Logger.Level.DEBUG, "a terminal of before is gone", notThereAnyMore);
    } finally {
      if (!begun) {
        ended();
      }
    }
  }

  private void reserve() {
    lock.lock();
    try {
      if (running >= MOST) {
        throw Refusals.tooManyTerminals(MOST);
      }
      running++;
    } finally {
      lock.unlock();
    }
  }

  private void ended() {
    lock.lock();
    try {
      running--;
    } finally {
      lock.unlock();
    }
  }

  private Terminal begin(Terminal terminal) {
    lock.lock();
    try {
      if (listed.size() >= MOST) {
        // One of them has ended, or there would have been no place for this.
        listed.values().stream()
            .filter(other -> other.info().exitCode().isPresent())
            .findFirst()
            .ifPresent(oldest -> {
              listed.remove(oldest.id());
              oldest.forget();
            });
      }
      listed.put(terminal.id(), terminal);
      if (closed) {
        terminal.forget();
      }
    } finally {
      lock.unlock();
    }
    terminal.begin(this::ended);
    return terminal;
  }

  Optional<Terminal> find(TerminalId id) {
    lock.lock();
    try {
      return Optional.ofNullable(listed.get(id));
    } finally {
      lock.unlock();
    }
  }

  /** Oldest first. */
  List<TerminalInfo> list() {
    lock.lock();
    try {
      return listed.values().stream().map(Terminal::info).toList();
    } finally {
      lock.unlock();
    }
  }

  /**
   * Whether something but a waiting shell runs on one; a guest that does not say so has nothing.
   */
  boolean isBusyIn(Machine machine) {
    lock.lock();
    try {
      if (running == 0) {
        return false;
      }
    } finally {
      lock.unlock();
    }
    try {
      return machine.agent().busyTerminals(ANSWER_PATIENCE) > 0;
    } catch (GuestException | SandboxException unknown) {
      System.getLogger(Terminals.class.getName())
          .log(System.Logger.Level.DEBUG, "a guest did not tell what its terminals do", unknown);
      return false;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }

  /** Kills one, and lists it no more. */
  void kill(TerminalId id) {
    Terminal terminal;
    lock.lock();
    try {
      terminal = listed.remove(id);
    } finally {
      lock.unlock();
    }
    if (terminal == null) {
      throw Refusals.noTerminal();
    }
    terminal.kill();
  }

  /** The machine has ended, and its terminals with it. */
  void close() {
    lock.lock();
    try {
      closed = true;
      listed.values().forEach(Terminal::forget);
    } finally {
      lock.unlock();
    }
  }
}
