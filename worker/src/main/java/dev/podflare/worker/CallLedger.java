package dev.podflare.worker;

import dev.podflare.worker.SessionEvent.Permission;
import dev.podflare.worker.SessionEvent.ToolCall;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;

/**
 * Which calls of a session are open, and which is next. Reading the same events again changes
 * nothing, so after a lost connection the whole history can be read over what is known. Not for
 * several threads.
 */
final class CallLedger {
  private static final int MOST_OPEN = 256;

  private final Predicate<ToolCall> isOurs;
  private final Map<String, ToolCall> open = new LinkedHashMap<>();
  private final Set<String> closed = new HashSet<>();
  private final Set<String> allowed = new HashSet<>();
  private final Set<String> endedThreads = new HashSet<>();
  private boolean isTurnEnded;
  private boolean isEnded;

  CallLedger(Predicate<ToolCall> isOurs) {
    this.isOurs = isOurs;
  }

  void note(SessionEvent event) throws ProviderException {
    isTurnEnded =
        switch (event) {
          case SessionEvent.Idle idle -> idle.isTurnEnded();
          // A decision or a subagent's end may come after the turn's end, and does not begin one.
          case SessionEvent.Verdict _, SessionEvent.ThreadEnded _ -> isTurnEnded;
          default -> false;
        };
    switch (event) {
      case ToolCall call -> begin(call);
      case SessionEvent.Answered answered -> close(answered.call());
      case SessionEvent.Verdict verdict -> {
        if (verdict.isAllowed()) {
          allowed.add(verdict.call());
        } else {
          close(verdict.call());
        }
      }
      case SessionEvent.ThreadEnded thread -> {
        endedThreads.add(thread.thread());
        // What it asked for can't be answered.
        open.values().stream()
            .filter(this::isOfEndedThread)
            .map(ToolCall::id)
            .toList()
            .forEach(this::close);
      }
      case SessionEvent.Ended _ -> isEnded = true;
      case SessionEvent.Idle _, SessionEvent.Interrupted _, SessionEvent.Other _ -> {}
    }
  }

  /** The oldest call that may run now. */
  Optional<ToolCall> next() {
    return open.values().stream().filter(isOurs).filter(this::mayRun).findFirst();
  }

  /** It has its answer, or will never have one from here. */
  void close(String call) {
    open.remove(call);
    closed.add(call);
  }

  /** Whether it still lacks its answer. */
  boolean isOpen(String call) {
    return open.containsKey(call);
  }

  /** Whether the session is over for good. */
  boolean isEnded() {
    return isEnded;
  }

  /** Whether the agent's turn has ended and nothing of it is left to do, or to be decided. */
  boolean isIdle() {
    return isTurnEnded && open.values().stream().noneMatch(isOurs);
  }

  private void begin(ToolCall call) throws ProviderException {
    if (closed.contains(call.id()) || open.containsKey(call.id())) {
      return;
    }
    if (call.permission() == Permission.DENY || isOfEndedThread(call)) {
      // The provider has refused it, or nobody waits for it.
      closed.add(call.id());
      return;
    }
    if (open.size() >= MOST_OPEN) {
      throw ProviderException.malformed(
          "the session has more than " + MOST_OPEN + " calls without an answer", null);
    }
    open.put(call.id(), call);
  }

  private boolean mayRun(ToolCall call) {
    return call.permission() == Permission.ALLOW || allowed.contains(call.id());
  }

  private boolean isOfEndedThread(ToolCall call) {
    return call.thread().filter(endedThreads::contains).isPresent();
  }
}
