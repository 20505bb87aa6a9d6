package dev.podflare.sandbox;

import dev.podflare.engine.Egress;
import dev.podflare.engine.EngineException;
import dev.podflare.engine.MachineShape;
import dev.podflare.guest.GuestException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Semaphore;
import java.util.stream.Stream;

/**
 * Makes sandboxes from templates: out of the template's {@link WarmPool} if it has the size that is
 * asked for and one waits, else a clone for the purpose.
 */
final class Creation {

  /** Emulated, on a host that is very busy, it takes a second; else hundredths. */
  private static final Duration WAKE_PATIENCE = Duration.ofSeconds(30);

  /** A clone is there in a fraction of a second; on a host that is very busy, in many. */
  private static final Duration FIRST_CLONE_PATIENCE = Duration.ofMinutes(3);

  /** Lets a machine become a sandbox that everybody may know. */
  interface Handover {
    /**
     * Records it, and lets others have it.
     *
     * @param rest what is still to be done before any code may run in it
     */
    Sandbox take(SandboxRecord sandboxRecord, Machine machine, Optional<Sandbox.Settling> rest);
  }

  private final HostLimits limits;
  private final Sizes sizes;
  private final Room room;
  private final AscendingClock births;
  private final Templates templates;
  private final PoolsOnDemand poolsOnDemand;
  private final Map<String, WarmPool> pools = new ConcurrentSkipListMap<>();

  /** Clones that are made while somebody waits: more at once would only make all of them late. */
  private final Semaphore cloning =
      new Semaphore(Math.max(2, Runtime.getRuntime().availableProcessors()), true);

  Creation(
      HostLimits limits,
      Sizes sizes,
      Room room,
      AscendingClock births,
      Templates templates,
      PoolsOnDemand poolsOnDemand) {
    this.limits = limits;
    this.sizes = sizes;
    this.room = room;
    this.births = births;
    this.templates = templates;
    this.poolsOnDemand = poolsOnDemand;
  }

  /**
   * Builds the templates that are missing, the default one and those of which machines shall wait,
   * and starts to fill the pools. Returns when the first machine of the default template waits.
   */
  void begin() throws EngineException, InterruptedException {
    for (Template template : templates.builtIn()) {
      if (template.name().equals(CreateSandbox.DEFAULT_TEMPLATE) || waiting(template) > 0) {
        templates.prepare(template, limits.defaultShape());
      }
    }
    for (Template template : templates.builtIn()) {
      if (!template.alike().equals(template.name())) {
        continue;
      }
      TemplateSource source = new TemplateSource.BuiltIn(template);
      pools.put(
          template.name(),
          new WarmPool(
              template.name(),
              waiting(template),
              () -> templates.cloneOf(source, limits.defaultShape())));
    }
    for (Template template : templates.builtIn()) {
      if (pools.containsKey(template.name()) && waiting(template) > 0) {
        templates.warm(template, limits.defaultShape());
      }
    }
    WarmPool first = pools.get(CreateSandbox.DEFAULT_TEMPLATE);
    if (first != null && !first.awaitReady(FIRST_CLONE_PATIENCE)) {
      throw new EngineException(
          EngineException.Kind.FAILED,
          "no clone of the default template came up within %d s; the log says why"
              .formatted(FIRST_CLONE_PATIENCE.toSeconds()));
    }
  }

  /**
   * Machines that wait, and were cloned from a snapshot when its clones were cold, are made anew.
   */
  void renew(Path snapshot) {
    for (Template template : templates.builtIn()) {
      WarmPool pool = pools.get(template.name());
      if (pool != null && templates.isOf(template, limits.defaultShape(), snapshot)) {
        pool.renew();
      }
    }
    poolsOnDemand.renew(id -> templates.isOf(id, snapshot));
  }

  /** How many machines wait for a template, and for those that it shares them with. */
  private int waiting(Template template) {
    return templates.builtIn().stream()
        .filter(one -> one.alike().equals(template.name()))
        .mapToInt(one -> limits.pools().getOrDefault(one.name(), 0))
        .sum();
  }

  /** Makes a sandbox. */
  Sandbox create(CreateSandbox request, Handover handover)
      throws EngineException, GuestException, InterruptedException {
    TemplateSource template = templates.require(request.owner(), request.template(), "template");
    MachineShape shape = shapeOf(request, template);
    Duration idle = idleTimeoutOf(request);
    Optional<Duration> lifetime = lifetimeOf(request);
    if (!room.fits(1)) {
      poolsOnDemand.endAll();
      templates.endMostZygotes();
    }
    room.require(1);
    // One that has no environment to be given yet is known to its user before it is awake.
    Machine machine = machineFor(template, shape, request.env().isEmpty());
    boolean handedOver = false;
    try {
      if (!request.env().isEmpty()) {
        machine.giveEnvironment(request.env());
      }
      boolean changes = !request.egress().equals(template.reach());
      boolean opens = changes && request.egress() instanceof Egress.Outside;
      boolean wakes = !machine.isAwake();
      if (changes && !opens) {
        machine.microVm().allow(request.egress());
      }
      Sandbox sandbox =
          handover.take(
              new SandboxRecord(
                  machine.sandbox(),
                  request.owner(),
                  template.name(),
                  shape,
                  request.egress(),
                  idle,
                  lifetime,
                  request.persistent(),
                  machine.sandbox(),
                  Optional.empty(),
                  request.metadata(),
                  births.instant()),
              machine,
              opens || wakes
                  ? Optional.of(goingOn -> {
                    if (wakes) {
                      machine.takeIdentity(Machine.Origin.SANDBOX, WAKE_PATIENCE, goingOn);
                    }
                    if (opens) {
                      allow(machine, request.egress());
                    }
                  })
                  : Optional.empty());
      handedOver = true;
      return sandbox;
    } finally {
      if (!handedOver) {
        machine.close();
      }
    }
  }

  /** Takes tens of milliseconds, for which only code has to wait, and not who creates. */
  private static void allow(Machine machine, Egress egress) throws EngineException {
    boolean allowed = false;
    try {
      machine.microVm().allow(egress);
      allowed = true;
    } finally {
      if (!allowed) {
        machine.lose("its way to the outside could not be opened.");
      }
    }
  }

  /**
   * @param early whether it need not be awake
   */
  private Machine machineFor(TemplateSource source, MachineShape shape, boolean early)
      throws EngineException, InterruptedException {
    Optional<Machine> waiting = waiting(source, shape);
    if (waiting.isPresent()) {
      return waiting.get();
    }
    Machine made;
    cloning.acquire();
    try {
      made =
          early && source instanceof TemplateSource.BuiltIn(Template template)
              ? templates.asleepCloneOf(template, shape)
              : templates.cloneOf(source, shape);
    } finally {
      cloning.release();
    }
    if (source instanceof TemplateSource.Built(TemplateRecord template)) {
      poolsOnDemand.begin(
          template.id(), template.name(), () -> templates.cloneOf(source, shape), Optional.empty());
    }
    return made;
  }

  private Optional<Machine> waiting(TemplateSource source, MachineShape shape) {
    return switch (source) {
      case TemplateSource.BuiltIn(Template template) ->
          shape.equals(limits.defaultShape())
              ? Optional.ofNullable(pools.get(template.alike())).flatMap(WarmPool::take)
              : Optional.empty();
      case TemplateSource.Built(TemplateRecord template) -> poolsOnDemand.take(template.id());
    };
  }

  private MachineShape shapeOf(CreateSandbox request, TemplateSource source) {
    return switch (source) {
      case TemplateSource.BuiltIn _ ->
          sizes.of(request.cpus(), request.memoryMiB(), request.diskMiB());
      case TemplateSource.Built(TemplateRecord template) ->
          Sizes.only(
              template.shape(),
              template.name(),
              request.cpus(),
              request.memoryMiB(),
              request.diskMiB());
    };
  }

  private Duration idleTimeoutOf(CreateSandbox request) {
    Duration idle = request.idleTimeout().orElse(limits.defaultIdleTimeout());
    requireAtMost("idle_timeout_seconds", idle, limits.longestIdleTimeout());
    return idle;
  }

  private Optional<Duration> lifetimeOf(CreateSandbox request) {
    request
        .maxLifetime()
        .ifPresent(
            lifetime -> requireAtMost("max_lifetime_seconds", lifetime, limits.longestLifetime()));
    return request.maxLifetime();
  }

  private static void requireAtMost(String field, Duration asked, Duration most) {
    if (asked.compareTo(most) > 0) {
      throw Refusals.invalid(
          field,
          field + " must be at most " + most.toSeconds() + " on this host.",
          "Ask for less, or leave " + field + " out.");
    }
  }

  List<Capacity.Pool> counters() {
    return Stream.concat(
            pools.values().stream().map(WarmPool::counters), poolsOnDemand.counters().stream())
        .toList();
  }

  /** Ends what waits in the pools. */
  void closePools() {
    try (ExecutorService each = Executors.newVirtualThreadPerTaskExecutor()) {
      each.execute(poolsOnDemand::close);
      pools.values().forEach(pool -> each.execute(pool::close));
    }
  }
}
