package dev.podflare.sandbox;

import dev.podflare.engine.Engine;
import dev.podflare.engine.EngineException;
import dev.podflare.guest.CancelReason;
import dev.podflare.guest.GuestException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * The sandboxes of this host.
 *
 * <p>Holds the parts together and owns none of their rules. {@link OpenSandboxes} knows which
 * sandboxes there are, and writes down all that must outlive the process; a {@link Sandbox} knows
 * what may go on in it; {@link Creation}, {@link Forking}, {@link Freezing} and {@link Merging} do
 * what makes sandboxes come, go and change; {@link Lifetimes} ends them in time; {@link Adoption}
 * brings them back after the death of a server.
 *
 * <p><b>Life of a sandbox here:</b> created, forked or resumed (recorded before anybody learns its
 * id) → open → closed: by its user, by its idle timeout or the end of its lifetime, by a merge into
 * another one or a freeze. All of these win or lose atomically in {@link OpenSandboxes}.
 */
public final class LocalSandboxes implements Sandboxes, AutoCloseable {

  private static final System.Logger LOG = System.getLogger(LocalSandboxes.class.getName());

  /** For code to stop, when the server does and its sandbox is to be kept. */
  private static final Duration LAST_WORDS = Duration.ofSeconds(8);

  /** For all persistent sandboxes to be frozen, when the server stops. */
  private static final Duration TIME_TO_KEEP = Duration.ofSeconds(40);

  private final Engine engine;
  private final InstantSource clock;
  private final Database database;
  private final OpenSandboxes open;
  private final Room room;
  private final Timer timer = new Timer();
  private final ExecKeeping execKeeping;
  private final OnceCalls onceCalls;
  private final Lifetimes lifetimes;
  private final Templates templates;
  private final TemplateBuilding building;
  private final Creation creation;
  private final Forking forking;
  private final Zygotes zygotes;
  private final Freezing freezing;
  private final Merging merging;

  private LocalSandboxes(
      Engine engine,
      GuestImage image,
      List<Template> templates,
      HostLimits limits,
      HostMemory memory,
      InstantSource clock,
      Path data,
      Database database,
      Consumer<String> progress)
      throws IOException {
    this.engine = engine;
    this.clock = clock;
    this.database = database;
    open = new OpenSandboxes(database, clock);
    room = new Room(memory, limits);
    onceCalls = new OnceCalls(database, clock);
    execKeeping = new ExecKeeping(data, database, clock, timer);
    lifetimes = new Lifetimes(open, clock, timer, this::closeBecause, this::fallAsleepIfIdle);
    zygotes = new Zygotes(engine, clock, this::renewWaiting);
    this.templates =
        new Templates(
            engine,
            clock,
            zygotes,
            new TemplateSnapshots(engine, image, data.resolve("templates"), progress),
            new TemplateRegistry(database),
            new TemplateDirectories(data.resolve("custom-templates")),
            templates);
    Sizes sizes = new Sizes(limits);
    PoolsOnDemand poolsOnDemand = new PoolsOnDemand(room, timer);
    building =
        new TemplateBuilding(engine, open, sizes, room, clock, this.templates, poolsOnDemand);
    AscendingClock births = new AscendingClock(clock);
    creation = new Creation(limits, sizes, room, births, this.templates, poolsOnDemand);
    forking = new Forking(engine, open, room, clock, births, this::awake, lifetimes);
    freezing =
        new Freezing(
            engine, open, room, clock, births, new SpaceDirectories(data.resolve("spaces")));
    merging = new Merging(open);
  }

  /** Where the sessions of clients are kept that shall outlive this server. */
  public ClientSessions clientSessions() {
    return new ClientSessions(database);
  }

  /**
   * Makes this host ready: takes over what a server that died left, builds the templates that are
   * missing, and starts to fill the pools. Returns when the first machine of the default template
   * waits.
   *
   * @param data where registry, templates and Spaces are kept
   * @param progress hears what takes long, one sentence at a time
   */
  public static LocalSandboxes open(
      Engine engine,
      GuestImage image,
      List<Template> templates,
      HostLimits limits,
      HostMemory memory,
      InstantSource clock,
      Path data,
      Consumer<String> progress)
      throws EngineException, IOException, InterruptedException {
    Database database = Database.open(data.resolve("podflare.db"));
    LocalSandboxes host =
        new LocalSandboxes(
            engine, image, templates, limits, memory, clock, data, database, progress);
    boolean begun = false;
    try {
      new Adoption(
              engine,
              host.open,
              host.freezing,
              clock,
              host::assemble,
              host.lifetimes,
              host.execKeeping.registry())
          .run(progress);
      host.templates.recover().ifPresent(progress);
      host.creation.begin();
      begun = true;
      return host;
    } finally {
      if (!begun) {
        host.creation.closePools();
        host.zygotes.close();
        host.timer.close();
        host.execKeeping.close();
        database.close();
      }
    }
  }

  private void renewWaiting(Path snapshot) {
    creation.renew(snapshot);
  }

  private Sandbox assemble(
      SandboxRecord sandboxRecord, Sandbox.Condition condition, int generation) {
    return new Sandbox(sandboxRecord, condition, generation, clock, timer, this::wake, execKeeping);
  }

  private Sandbox awake(SandboxRecord sandboxRecord, Machine machine) {
    return assemble(sandboxRecord, new Sandbox.Condition.Awake(machine), machine.generation());
  }

  private Sandbox admit(SandboxRecord sandboxRecord, Machine machine, Optional<OnceKey> once) {
    return admit(sandboxRecord, machine, once, Optional.empty());
  }

  /**
   * @param rest of making it ready, for which only code waits
   */
  private Sandbox admit(
      SandboxRecord sandboxRecord,
      Machine machine,
      Optional<OnceKey> once,
      Optional<Sandbox.Settling> rest) {
    Sandbox sandbox = awake(sandboxRecord, machine);
    rest.ifPresent(_ -> sandbox.reserveTurn());
    if (once.isPresent()) {
      open.add(
          List.of(sandbox),
          () ->
              onceCalls.write(
                  once.get(), List.of(infoWhenNew(sandbox)), OnceCalls.ForkFigures.NONE));
    } else {
      open.add(List.of(sandbox));
    }
    rest.ifPresent(settling ->
        sandbox.settle(
            goingOn -> {
              settling.settle(goingOn);
              open.confirmed(sandbox, machine);
            },
            Optional.empty()));
    lifetimes.watch(sandbox);
    return sandbox;
  }

  private SandboxInfo infoWhenNew(Sandbox sandbox) {
    return sandbox.infoWhenNew(engine.facts().isolation());
  }

  private SandboxInfo infoWhenNew(OnceCalls.Made made, SandboxId id) {
    return SandboxInfo.whenNew(
        open.registry().find(id).orElseThrow(Refusals::noSandbox),
        engine.facts().isolation(),
        made.generation(),
        made.lastUsed());
  }

  private <T> Answered<T> once(
      Optional<OnceKey> key, Function<OnceCalls.Made, T> again, OnceCalls.Work<T> work) {
    return answer(() ->
        key.isPresent() ? onceCalls.answer(key.get(), again, work) : Answered.now(work.done()));
  }

  private void wake(Sandbox sandbox, SpaceId space) throws InterruptedException {
    freezing.wake(sandbox, space);
    lifetimes.watchIdleness(sandbox);
  }

  // ---- come and go ----

  @Override
  public Answered<SandboxInfo> create(CreateSandbox request, Optional<OnceKey> once) {
    open.requireTaking();
    return once(
        once,
        made -> infoWhenNew(made, made.made().getFirst()),
        () ->
            infoWhenNew(
                creation.create(
                    request, (sandbox, machine, rest) -> admit(sandbox, machine, once, rest))));
  }

  @Override
  public Answered<Fork> fork(SandboxId id, int n, Optional<OnceKey> once) {
    return once(
        once,
        made ->
            new Fork(
                made.made().stream().map(child -> infoWhenNew(made, child)).toList(),
                made.fork().pause(),
                made.fork().running()),
        () -> forking.fork(open.require(id), n, once.map(this::noteOfFork)));
  }

  private Forking.Note noteOfFork(OnceKey key) {
    return fork ->
        onceCalls.write(
            key, fork.children(), new OnceCalls.ForkFigures(fork.pause(), fork.running()));
  }

  @Override
  public void close(SandboxId id) {
    closeBecause(id, "closed");
  }

  private void closeBecause(SandboxId id, String reason) {
    Optional<Sandbox.Condition> before = open.close(id, reason);
    if (before.isPresent()) {
      switch (before.get()) {
        case Sandbox.Condition.Awake(Machine machine) -> machine.close();
        case Sandbox.Condition.Asleep(SpaceId space) -> freezing.delete(space);
        case Sandbox.Condition.Lost _, Sandbox.Condition.Closed _ -> {}
      }
    }
  }

  // ---- Spaces ----

  @Override
  public SpaceInfo freeze(SandboxId id) {
    return answer(() -> freezing.freeze(open.require(id)));
  }

  private void fallAsleepIfIdle(Sandbox sandbox) {
    var _ =
        answer(() -> {
          freezing.fallAsleep(sandbox, Duration.ofSeconds(1), false);
          return sandbox;
        });
  }

  @Override
  public List<SpaceInfo> spaces(String owner) {
    return open.spaces().ownedBy(owner);
  }

  @Override
  public Optional<SpaceInfo> findSpace(SpaceId id) {
    return open.spaces().find(id);
  }

  @Override
  public Optional<String> spaceOwnerEver(SpaceId id) {
    return open.spaces().ownerEver(id);
  }

  @Override
  public Answered<SandboxInfo> resume(SpaceId id, Optional<OnceKey> once) {
    return once(
        once,
        made -> infoWhenNew(made, made.made().getFirst()),
        () ->
            infoWhenNew(freezing.resume(id, (sandbox, machine) -> admit(sandbox, machine, once))));
  }

  @Override
  public void deleteSpace(SpaceId id) {
    freezing.deleteSpace(id);
  }

  // ---- templates ----

  @Override
  public List<TemplateInfo> templates(String owner) {
    return templates.list(owner);
  }

  @Override
  public TemplateBuild buildTemplate(BuildTemplate request) {
    return building.begin(request);
  }

  @Override
  public void deleteTemplate(String owner, String name) {
    building.delete(owner, name);
  }

  // ---- look ----

  @Override
  public Optional<SandboxInfo> find(SandboxId id) {
    return open.find(id).map(sandbox -> sandbox.info(engine.facts().isolation()));
  }

  @Override
  public SandboxInfo require(SandboxId id) {
    return open.require(id).info(engine.facts().isolation());
  }

  @Override
  public Optional<String> ownerEver(SandboxId id) {
    return open.registry().ownerEver(id);
  }

  @Override
  public List<Relative> family(SandboxId id) {
    return open.registry().family(id);
  }

  @Override
  public SandboxPage list(SandboxQuery query) {
    List<SandboxInfo> page = new ArrayList<>();
    // A page may begin after a sandbox that was closed meanwhile, so its place comes from the
    // registry.
    Optional<Place> after =
        query
            .after()
            .flatMap(id -> open.registry().createdAt(id).map(created -> new Place(created, id)));
    List<Sandbox> candidates =
        open.all().stream()
            .filter(sandbox -> matches(sandbox.sandboxRecord(), query))
            .filter(sandbox -> after.isEmpty() || Place.of(sandbox).compareTo(after.get()) > 0)
            .sorted(Comparator.comparing(Place::of))
            .toList();
    for (Sandbox candidate : candidates) {
      SandboxInfo info = candidate.info(engine.facts().isolation());
      if (query.state().isPresent() && info.state() != query.state().get()) {
        continue;
      }
      if (page.size() == query.limit()) {
        return new SandboxPage(page, Optional.of(page.getLast().id()));
      }
      page.add(info);
    }
    return new SandboxPage(page, Optional.empty());
  }

  /** Where a sandbox stands in lists: by age, and among the children of one fork by id. */
  private record Place(Instant created, SandboxId id) implements Comparable<Place> {

    private static final Comparator<Place> ORDER =
        Comparator.comparing(Place::created).thenComparing(place -> place.id().value());

    static Place of(Sandbox sandbox) {
      return new Place(sandbox.sandboxRecord().createdAt(), sandbox.id());
    }

    @Override
    public int compareTo(Place other) {
      return ORDER.compare(this, other);
    }
  }

  private static boolean matches(SandboxRecord sandbox, SandboxQuery query) {
    return sandbox.owner().equals(query.owner())
        && query.template().map(sandbox.template()::equals).orElse(true)
        && sandbox.metadata().entrySet().containsAll(query.metadata().entrySet());
  }

  @Override
  public Capacity capacity() {
    return new Capacity(
        engine.facts().isolation(),
        open.size(),
        room.total(),
        room.free(),
        room.roomFor(),
        engine.prepared(),
        zygotes.rehearsals(),
        creation.counters());
  }

  // ---- use ----

  @Override
  public ExecStream exec(SandboxId id, ExecRequest request) {
    return answer(() -> open.require(id).exec(request));
  }

  @Override
  public ExecInfo detach(SandboxId id, ExecRequest request) {
    return open.require(id).start(request, false);
  }

  @Override
  public ExecInfo runInBackground(SandboxId id, ExecRequest request) {
    if (request.language() != ExecRequest.Language.BASH) {
      throw Refusals.invalid(
          "background",
          "Only bash runs in the background, since there is one Python process.",
          "Send language bash, or detach instead of background.");
    }
    return open.require(id).start(request, true);
  }

  @Override
  public List<ExecInfo> execs(SandboxId id) {
    return open.require(id).execs().infos();
  }

  @Override
  public ExecInfo findExec(SandboxId id, ExecId exec) {
    return open.require(id).execs().require(exec).info();
  }

  @Override
  public ExecStream attach(SandboxId id, ExecId exec, long from) {
    return open.require(id).execs().read(exec, from);
  }

  @Override
  public void interrupt(SandboxId id, ExecId exec) {
    open.require(id).execs().require(exec).interrupt();
  }

  @Override
  public ExecCounts execCounts() {
    return execKeeping.counts();
  }

  @Override
  public void interrupt(SandboxId id) {
    Sandbox sandbox = open.require(id);
    var _ =
        answer(() -> {
          sandbox.interrupt();
          return sandbox;
        });
  }

  @Override
  public long writeFile(SandboxId id, String path, Optional<Integer> mode, InputStream content)
      throws IOException {
    SandboxFiles files = filesOf(id);
    try {
      return files.write(path, mode, content);
    } catch (GuestException e) {
      throw Refusals.of(e, path);
    } catch (InterruptedException e) {
      throw Refusals.interrupted(e);
    }
  }

  @Override
  public FileContent readFile(SandboxId id, String path) {
    SandboxFiles files = filesOf(id);
    return answer(path, () -> files.read(path));
  }

  @Override
  public FileListing listFiles(SandboxId id, String path) {
    SandboxFiles files = filesOf(id);
    return answer(path, () -> files.list(path));
  }

  @Override
  public void removeFile(SandboxId id, String path, boolean recursive) {
    SandboxFiles files = filesOf(id);
    var _ =
        answer(
            path,
            () -> {
              files.remove(path, recursive);
              return files;
            });
  }

  private SandboxFiles filesOf(SandboxId id) {
    return new SandboxFiles(open.require(id));
  }

  @Override
  public TerminalStream openTerminal(SandboxId id, OpenTerminal request) {
    return answer(() -> terminalsOf(id).open(request));
  }

  @Override
  public TerminalStream attachTerminal(SandboxId id, TerminalId terminal) {
    return answer(() -> terminalsOf(id).attach(terminal));
  }

  @Override
  public List<TerminalInfo> terminals(SandboxId id) {
    return answer(() -> terminalsOf(id).list());
  }

  @Override
  public void killTerminal(SandboxId id, TerminalId terminal) {
    SandboxTerminals terminals = terminalsOf(id);
    var _ =
        answer(() -> {
          terminals.kill(terminal);
          return terminals;
        });
  }

  private SandboxTerminals terminalsOf(SandboxId id) {
    return new SandboxTerminals(open.require(id));
  }

  @Override
  public Difference compare(SandboxId from, SandboxId to, CompareSandboxes what) {
    return answer(() -> merging.compare(open.require(from), open.require(to), what));
  }

  @Override
  public MergeReport merge(SandboxId parent, SandboxId winner, MergeSandboxes how) {
    return answer(() -> merging.merge(open.require(parent), open.require(winner), how));
  }

  private interface Work<T> {
    T done() throws EngineException, GuestException, InterruptedException;
  }

  private static <T> T answer(Work<T> work) {
    return answer("", work);
  }

  /**
   * @param path that the work is about, if it is about one
   */
  private static <T> T answer(String path, Work<T> work) {
    try {
      return work.done();
    } catch (EngineException e) {
      throw Refusals.of(e);
    } catch (GuestException e) {
      throw Refusals.of(e, path);
    } catch (InterruptedException e) {
      throw Refusals.interrupted(e);
    }
  }

  // ---- end ----

  /**
   * What {@link #endAll} did.
   *
   * @param closed sandboxes that are gone
   * @param frozen persistent sandboxes that were put to sleep
   */
  public record Ended(int closed, int frozen) {}

  /**
   * Refuses new sandboxes from now on, freezes the persistent ones, ends all machines, and returns
   * when nothing of them is left. Running execs end with an event that says so. Calls may still
   * come in; they find no sandbox.
   */
  public Ended endAll() {
    open.takeNoMore();
    List<Sandbox> awake = open.all().stream().filter(sandbox -> !isAsleep(sandbox)).toList();
    List<Sandbox> keepable = open.all().stream().filter(Sandbox::canSleep).toList();
    try (ExecutorService each = Executors.newVirtualThreadPerTaskExecutor()) {
      each.execute(building::endAll);
      each.execute(creation::closePools);
      open.all().stream()
          .filter(sandbox -> !sandbox.canSleep())
          .forEach(sandbox -> each.execute(() -> closeUnlessAsleep(sandbox)));
      var _ =
          each.invokeAll(
              keepable.stream().map(sandbox -> Executors.callable(() -> keep(sandbox))).toList(),
              TIME_TO_KEEP.toSeconds(),
              TimeUnit.SECONDS);
      open.all().forEach(sandbox -> each.execute(() -> closeUnlessAsleep(sandbox)));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      open.all().forEach(this::closeUnlessAsleep);
    }
    int frozen = (int) awake.stream().filter(LocalSandboxes::isAsleep).count();
    return new Ended(awake.size() - frozen, frozen);
  }

  private static boolean isAsleep(Sandbox sandbox) {
    return sandbox.condition() instanceof Sandbox.Condition.Asleep;
  }

  private void closeUnlessAsleep(Sandbox sandbox) {
    if (!isAsleep(sandbox)) {
      closeBecause(sandbox.id(), "server_stopped");
    }
  }

  /** Lets a sandbox fall asleep, also if it is used: its code is interrupted then. */
  private void keep(Sandbox sandbox) {
    try {
      sandbox.running().ifPresent(exec -> exec.cancel(CancelReason.INTERRUPT));
      freezing.fallAsleep(sandbox, LAST_WORDS, true);
    } catch (SandboxException e) {
      LOG.log(System.Logger.Level.WARNING, "sandbox " + sandbox.id() + " can't be kept", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /**
   * Leaves the sandboxes, with what runs in them, to the next server on the same directory, and
   * closes the registry: no call may come in any more. What is no sandbox yet, a build or a machine
   * of a pool, ends.
   *
   * @return how many are left
   */
  public int leaveAll() {
    open.takeNoMore();
    try (ExecutorService each = Executors.newVirtualThreadPerTaskExecutor()) {
      each.execute(building::endAll);
      each.execute(creation::closePools);
    }
    int left = (int) open.all().stream().filter(sandbox -> !isAsleep(sandbox)).count();
    release();
    return left;
  }

  /** {@link #endAll()}, and closes the registry: no call may come in any more. */
  @Override
  public void close() {
    var _ = endAll();
    release();
  }

  private void release() {
    zygotes.close();
    timer.close();
    execKeeping.close();
    database.close();
  }
}
