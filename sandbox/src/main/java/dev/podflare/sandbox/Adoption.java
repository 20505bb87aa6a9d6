package dev.podflare.sandbox;

import dev.podflare.engine.Engine;
import dev.podflare.engine.EngineException;
import dev.podflare.engine.MicroVm;
import dev.podflare.engine.MicroVmId;
import java.io.IOException;
import java.time.Duration;
import java.time.InstantSource;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/**
 * Takes over the sandboxes of a server that died, or left them: at the start, before any call.
 *
 * <p>The registry says which machine each open sandbox drove, the engine which machines live. Those
 * that have both go on, with the code that runs in them, whose output of meanwhile is lost. A
 * machine that no sandbox drives is ended; a sandbox without a machine sleeps in its Space, or is
 * lost.
 */
final class Adoption {

  /** As a copy that was interrupted while it took its identity has to begin once more. */
  private static final Duration WAKE_PATIENCE = Duration.ofMinutes(2);

  /** Lets a sandbox of the registry be in a condition. */
  interface Assembly {
    Sandbox of(SandboxRecord sandboxRecord, Sandbox.Condition condition, int generation);
  }

  private final Engine engine;
  private final OpenSandboxes open;
  private final Freezing freezing;
  private final InstantSource clock;
  private final Assembly assembly;
  private final Lifetimes lifetimes;
  private final ExecRegistry execs;

  Adoption(
      Engine engine,
      OpenSandboxes open,
      Freezing freezing,
      InstantSource clock,
      Assembly assembly,
      Lifetimes lifetimes,
      ExecRegistry execs) {
    this.engine = engine;
    this.open = open;
    this.freezing = freezing;
    this.clock = clock;
    this.assembly = assembly;
    this.lifetimes = lifetimes;
    this.execs = execs;
  }

  /**
   * @param progress hears what was found, one sentence at a time
   */
  void run(Consumer<String> progress) throws EngineException, IOException {
    List<Registry.Entry> known = open.registry().open();
    Map<MicroVmId, MicroVm> living =
        engine.adopt(machinesOf(known)).stream()
            .collect(Collectors.toMap(MicroVm::id, microVm -> microVm));
    int ended = engine.reap().size();

    freezing.finish(
        known.stream()
            .filter(entry -> machineOf(entry, living).isEmpty())
            .map(Registry.Entry::sandbox)
            .toList());
    execs.removeOfClosed();
    Map<SandboxId, SpaceInfo> beds = new HashMap<>();
    for (SpaceInfo space : open.spaces().all()) {
      space.heldBy().ifPresent(sandbox -> beds.put(sandbox, space));
    }
    int resumed = 0;
    for (Registry.Entry entry : open.registry().open()) {
      Optional<MicroVm> machine = machineOf(entry, living);
      SpaceInfo bed = beds.get(entry.sandbox().id());
      if (machine.isPresent()) {
        goOn(entry.sandbox(), entry.machine().orElseThrow(), machine.get());
        resumed++;
      } else if (bed != null) {
        add(entry.sandbox(), new Sandbox.Condition.Asleep(bed.id()), bed.generation());
      } else {
        add(entry.sandbox(), new Sandbox.Condition.Lost("the server was restarted."), 0);
      }
    }
    tell(progress, resumed, ended);
  }

  private static Set<MicroVmId> machinesOf(List<Registry.Entry> entries) {
    return entries.stream()
        .flatMap(entry -> entry.machine().stream())
        .map(MachineRecord::microVm)
        .collect(Collectors.toSet());
  }

  private static Optional<MicroVm> machineOf(Registry.Entry entry, Map<MicroVmId, MicroVm> living) {
    return entry.machine().flatMap(machine -> Optional.ofNullable(living.get(machine.microVm())));
  }

  private void goOn(SandboxRecord sandboxRecord, MachineRecord known, MicroVm microVm) {
    Machine machine =
        new Machine(
            sandboxRecord.id(), microVm, known.resync(), known.generation(), known.line(), clock);
    Sandbox sandbox =
        assembly.of(sandboxRecord, new Sandbox.Condition.Awake(machine), known.generation());
    sandbox.reserveTurn();
    sandbox.recall(execs.of(sandbox.id()));
    open.restore(sandbox);
    sandbox.settle(
        goingOn -> {
          // The server may have died before it opened what the machine was to reach, and an older
          // version of it had other rules.
          microVm.allow(sandboxRecord.egress());
          if (known.confirmed()) {
            machine.takeOver(goingOn);
          } else {
            machine.takeIdentity(Machine.Origin.SANDBOX, WAKE_PATIENCE, goingOn);
            open.confirmed(sandbox, machine);
          }
        },
        Optional.empty());
    lifetimes.watch(sandbox);
  }

  private void add(SandboxRecord sandboxRecord, Sandbox.Condition condition, int generation) {
    Sandbox sandbox = assembly.of(sandboxRecord, condition, generation);
    sandbox.recall(execs.of(sandbox.id()));
    open.restore(sandbox);
    lifetimes.watch(sandbox);
  }

  private static void tell(Consumer<String> progress, int resumed, int ended) {
    if (resumed > 0) {
      progress.accept("took over " + resumed + " sandboxes of the previous server; they go on");
    }
    if (ended > 0) {
      progress.accept("cleaned up after " + ended + " microVMs of the previous server");
    }
  }
}
