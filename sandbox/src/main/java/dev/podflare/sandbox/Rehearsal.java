package dev.podflare.sandbox;

import dev.podflare.engine.EngineException;
import dev.podflare.guest.AgentConnection;
import dev.podflare.guest.ExecCall;
import dev.podflare.guest.GuestEvent;
import dev.podflare.guest.GuestException;
import dev.podflare.guest.GuestExec;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * What a template's machine does before sandboxes are forked from it: once, and unseen, all that
 * programs of agents usually begin with. Emulated, code is translated when it runs first, which is
 * most of what it takes then; the copies have the translation. What is not installed in a template
 * is passed over.
 *
 * <p>It leaves no names, no history and no output behind, and no files but those that Python and
 * its libraries keep for themselves.
 */
final class Rehearsal {

  /** Emulated, it takes some seconds; on a busy host several times that. */
  private static final Duration PATIENCE = Duration.ofMinutes(3);

  private static final String CELLS = "rehearsal.py";

  /** What begins one of them. */
  private static final Pattern CELL = Pattern.compile("(?m)^# %%.*\n");

  private static final String SHELL = "rehearsal.sh";

  private Rehearsal() {}

  /** Wakes a machine of a template, and has it go through all this. */
  static void of(Machine machine) throws EngineException, GuestException, InterruptedException {
    machine.reachOnce();
    AgentConnection agent = machine.agent();
    for (String cell : CELL.split(Resources.text(Rehearsal.class, CELLS), -1)) {
      run(agent, ExecCall.unseen(ExecCall.Language.PYTHON, cell));
    }
    run(agent, ExecCall.unseen(ExecCall.Language.BASH, Resources.text(Rehearsal.class, SHELL)));
    var _ = agent.changes(List.of("/"));
    // The last step is the one that each copy begins with.
    machine.giveEnvironment(Map.of());
  }

  private static void run(AgentConnection agent, ExecCall call)
      throws EngineException, GuestException, InterruptedException {
    try (GuestExec exec = agent.exec(call)) {
      while (true) {
        GuestEvent event =
            exec.next(PATIENCE)
                .orElseThrow(() ->
                    new EngineException(
                        EngineException.Kind.FAILED, "a template's rehearsal takes too long"));
        if (event instanceof GuestEvent.Closed) {
          return;
        }
      }
    }
  }
}
