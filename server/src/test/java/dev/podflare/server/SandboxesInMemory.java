package dev.podflare.server;

import dev.podflare.engine.Isolation;
import dev.podflare.engine.MachineShape;
import dev.podflare.engine.Prepared;
import dev.podflare.sandbox.Answered;
import dev.podflare.sandbox.BuildTemplate;
import dev.podflare.sandbox.Capacity;
import dev.podflare.sandbox.CompareSandboxes;
import dev.podflare.sandbox.CreateSandbox;
import dev.podflare.sandbox.Difference;
import dev.podflare.sandbox.ExecCounts;
import dev.podflare.sandbox.ExecEvent;
import dev.podflare.sandbox.ExecId;
import dev.podflare.sandbox.ExecInfo;
import dev.podflare.sandbox.ExecRequest;
import dev.podflare.sandbox.ExecStream;
import dev.podflare.sandbox.FileContent;
import dev.podflare.sandbox.FileListing;
import dev.podflare.sandbox.Fork;
import dev.podflare.sandbox.MergeReport;
import dev.podflare.sandbox.MergeSandboxes;
import dev.podflare.sandbox.OnceKey;
import dev.podflare.sandbox.OpenTerminal;
import dev.podflare.sandbox.Relative;
import dev.podflare.sandbox.SandboxException;
import dev.podflare.sandbox.SandboxId;
import dev.podflare.sandbox.SandboxInfo;
import dev.podflare.sandbox.SandboxPage;
import dev.podflare.sandbox.SandboxQuery;
import dev.podflare.sandbox.Sandboxes;
import dev.podflare.sandbox.SpaceId;
import dev.podflare.sandbox.SpaceInfo;
import dev.podflare.sandbox.TemplateBuild;
import dev.podflare.sandbox.TemplateInfo;
import dev.podflare.sandbox.TerminalId;
import dev.podflare.sandbox.TerminalInfo;
import dev.podflare.sandbox.TerminalStream;
import dev.podflare.sandbox.ToldEvent;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.function.Supplier;

/** Sandboxes without machines, so that the rules of HTTP can be tested alone. */
final class SandboxesInMemory implements Sandboxes {

  static final int MOST_EXECS = 3;
  static final Instant CREATED = Instant.ofEpochMilli(1_776_510_028_036L);

  private final Map<SandboxId, SandboxInfo> alive = new ConcurrentHashMap<>();
  private final Map<SandboxId, String> owners = new ConcurrentHashMap<>();
  private final Map<SandboxId, SandboxInfo> everMade = new LinkedHashMap<>();
  private final Map<SandboxId, String> ends = new ConcurrentHashMap<>();
  private final Map<SpaceId, SpaceInfo> spaces = new ConcurrentHashMap<>();
  private final Map<SpaceId, String> spaceOwners = new ConcurrentHashMap<>();
  private final Map<String, byte[]> files = new ConcurrentHashMap<>();
  final List<CreateSandbox> created = new CopyOnWriteArrayList<>();
  final List<ExecRequest> execs = new CopyOnWriteArrayList<>();
  final List<SandboxQuery> queries = new CopyOnWriteArrayList<>();
  final ConcurrentLinkedQueue<Integer> forks = new ConcurrentLinkedQueue<>();
  final ConcurrentLinkedQueue<CompareSandboxes> comparisons = new ConcurrentLinkedQueue<>();
  final ConcurrentLinkedQueue<MergeSandboxes> merges = new ConcurrentLinkedQueue<>();
  final ConcurrentLinkedQueue<Integer> modes = new ConcurrentLinkedQueue<>();
  final ConcurrentLinkedQueue<OpenTerminal> opened = new ConcurrentLinkedQueue<>();
  final ScriptedTerminal terminal = new ScriptedTerminal();
  final BlockingQueue<SandboxId> interrupted = new LinkedBlockingQueue<>();
  final BlockingQueue<ExecId> interruptedExecs = new LinkedBlockingQueue<>();
  final Map<ExecId, ExecInfo> started = new LinkedHashMap<>();
  final BlockingQueue<Long> attached = new LinkedBlockingQueue<>();
  final BlockingQueue<OnceKey> onceKeys = new LinkedBlockingQueue<>();
  private final Map<OnceKey, Object> made = new ConcurrentHashMap<>();

  volatile Supplier<ExecStream> attaching = () -> new Script(exit());

  volatile BiFunction<SandboxId, ExecRequest, ExecStream> running =
      (id, request) -> new Script(exit());
  volatile Function<String, FileContent> reading = this::stored;
  volatile Function<CompareSandboxes, Difference> comparing = _ -> Difference.none();
  volatile Function<MergeSandboxes, MergeReport> merging = how -> MergeReport.whole(!how.dryRun());

  volatile Function<BuildTemplate, TemplateBuild> building = _ -> new Script(exit());
  final Map<String, BuildTemplate> templates = new ConcurrentHashMap<>();

  static ExecEvent.Exit exit() {
    return new ExecEvent.Exit(0, ExecEvent.Reason.OK, true, Duration.ofMillis(3));
  }

  /** An exec whose events are known beforehand. */
  static final class Script implements ExecStream, TemplateBuild {
    private final ExecId id = ExecId.random();
    private long seq;
    private final BlockingQueue<ExecEvent> events = new ArrayBlockingQueue<>(1024);
    final BlockingQueue<Boolean> closed = new LinkedBlockingQueue<>();

    Script(ExecEvent... events) {
      this.events.addAll(List.of(events));
    }

    /** Adds an event, once there is room for it. */
    void emit(ExecEvent event) throws InterruptedException {
      events.put(event);
    }

    @Override
    public ExecId id() {
      return id;
    }

    @Override
    public List<ToldEvent> next() throws InterruptedException {
      return next(Duration.ofDays(1));
    }

    @Override
    public List<ToldEvent> next(Duration longest) throws InterruptedException {
      ExecEvent first = events.poll(longest.toNanos(), TimeUnit.NANOSECONDS);
      if (first == null) {
        return List.of();
      }
      List<ExecEvent> batch = new ArrayList<>(List.of(first));
      events.drainTo(batch);
      return batch.stream().map(event -> new ToldEvent(seq++, CREATED, event)).toList();
    }

    @Override
    public void close() {
      closed.add(true);
    }
  }

  void putFile(String path, byte[] content) {
    files.put(path, content);
  }

  Optional<byte[]> file(String path) {
    return Optional.ofNullable(files.get(path));
  }

  int alive() {
    return alive.size();
  }

  @Override
  public Answered<SandboxInfo> create(CreateSandbox request, Optional<OnceKey> once) {
    return once(once, SandboxInfo.class, () -> make(request));
  }

  private synchronized SandboxInfo make(CreateSandbox request) {
    created.add(request);
    SandboxId id = SandboxId.random();
    SandboxInfo info =
        new SandboxInfo(
            id,
            request.owner(),
            SandboxInfo.State.READY,
            request.template(),
            Isolation.EMULATED,
            CREATED,
            CREATED,
            request.idleTimeout().orElse(Duration.ofMinutes(5)),
            request.maxLifetime(),
            request.persistent(),
            id,
            Optional.empty(),
            0,
            new MachineShape(
                request.cpus().orElse(1),
                request.memoryMiB().orElse(1024),
                request.diskMiB().orElse(4096)),
            0,
            Duration.ZERO,
            request.egress(),
            request.metadata());
    return add(info);
  }

  @Override
  public Optional<SandboxInfo> find(SandboxId id) {
    return Optional.ofNullable(alive.get(id));
  }

  @Override
  public SandboxInfo require(SandboxId id) {
    return requireAlive(id);
  }

  @Override
  public Optional<String> ownerEver(SandboxId id) {
    return Optional.ofNullable(owners.get(id));
  }

  @Override
  public synchronized SandboxPage list(SandboxQuery query) {
    queries.add(query);
    List<SandboxInfo> found =
        alive.values().stream().filter(info -> info.owner().equals(query.owner())).toList();
    return new SandboxPage(found, found.stream().findFirst().map(SandboxInfo::id));
  }

  @Override
  public ExecStream exec(SandboxId id, ExecRequest request) {
    requireAlive(id);
    synchronized (this) {
      execs.add(request);
    }
    return running.apply(id, request);
  }

  @Override
  public ExecInfo detach(SandboxId id, ExecRequest request) {
    return start(id, request, false);
  }

  @Override
  public ExecInfo runInBackground(SandboxId id, ExecRequest request) {
    return start(id, request, true);
  }

  private synchronized ExecInfo start(SandboxId id, ExecRequest request, boolean background) {
    requireAlive(id);
    if (started.size() == MOST_EXECS) {
      throw new SandboxException(
          SandboxException.Reason.OVER_QUOTA, "too_many_execs", "It is full.", "Wait.");
    }
    execs.add(request);
    ExecInfo info =
        new ExecInfo(
            ExecId.random(),
            request.language(),
            background,
            ExecInfo.State.QUEUED,
            request.code(),
            CREATED,
            Optional.empty(),
            Optional.empty(),
            Optional.empty(),
            0,
            0);
    started.put(info.id(), info);
    return info;
  }

  @Override
  public synchronized List<ExecInfo> execs(SandboxId id) {
    requireAlive(id);
    return List.copyOf(started.values());
  }

  @Override
  public synchronized ExecInfo findExec(SandboxId id, ExecId exec) {
    requireAlive(id);
    return Optional.ofNullable(started.get(exec))
        .orElseThrow(() ->
            new SandboxException(
                SandboxException.Reason.NO_EXEC, "exec_gone", "It is not kept.", "List them."));
  }

  @Override
  public ExecStream attach(SandboxId id, ExecId exec, long from) {
    var _ = findExec(id, exec);
    attached.add(from);
    return attaching.get();
  }

  @Override
  public void interrupt(SandboxId id, ExecId exec) {
    var _ = findExec(id, exec);
    interruptedExecs.add(exec);
  }

  @Override
  public synchronized ExecCounts execCounts() {
    return new ExecCounts(execs.size(), Map.of(ExecEvent.Reason.OK, (long) execs.size()));
  }

  @Override
  public void interrupt(SandboxId id) {
    requireAlive(id);
    interrupted.add(id);
  }

  /** Answers what an earlier call with this key has made, or makes it. */
  private synchronized <T> Answered<T> once(
      Optional<OnceKey> key, Class<T> type, Supplier<T> work) {
    Object before = key.map(made::get).orElse(null);
    if (before != null) {
      return new Answered<>(type.cast(before), true);
    }
    T what = work.get();
    key.ifPresent(one -> {
      onceKeys.add(one);
      made.put(one, what);
    });
    return new Answered<>(what, false);
  }

  @Override
  public long writeFile(SandboxId id, String path, Optional<Integer> mode, InputStream content)
      throws IOException {
    requireAlive(id);
    mode.ifPresent(modes::add);
    byte[] bytes = content.readAllBytes();
    files.put(path, bytes);
    return bytes.length;
  }

  @Override
  public FileContent readFile(SandboxId id, String path) {
    requireAlive(id);
    return reading.apply(path);
  }

  private FileContent stored(String path) {
    byte[] bytes = files.get(path);
    if (bytes == null) {
      throw new SandboxException(
          SandboxException.Reason.NO_FILE,
          "file_not_found",
          "There is no " + path,
          "List the folder.");
    }
    return new FileContent(OptionalLong.of(bytes.length), new ByteArrayInputStream(bytes));
  }

  @Override
  public FileListing listFiles(SandboxId id, String path) {
    requireAlive(id);
    return new FileListing(
        files.entrySet().stream()
            .map(file ->
                new FileListing.Entry(file.getKey(), "file", file.getValue().length, 0644, CREATED))
            .toList(),
        false);
  }

  @Override
  public void removeFile(SandboxId id, String path, boolean recursive) {
    requireAlive(id);
    files.remove(path);
  }

  @Override
  public TerminalStream openTerminal(SandboxId id, OpenTerminal request) {
    requireAlive(id);
    opened.add(request);
    return terminal;
  }

  @Override
  public TerminalStream attachTerminal(SandboxId id, TerminalId wanted) {
    requireAlive(id);
    requireTerminal(wanted);
    return terminal;
  }

  @Override
  public List<TerminalInfo> terminals(SandboxId id) {
    requireAlive(id);
    return List.of(terminal.info());
  }

  @Override
  public void killTerminal(SandboxId id, TerminalId wanted) {
    requireAlive(id);
    requireTerminal(wanted);
    terminal.exit(137, Optional.empty());
  }

  private void requireTerminal(TerminalId wanted) {
    if (!terminal.id.equals(wanted)) {
      throw new SandboxException(
          SandboxException.Reason.NO_TERMINAL, "terminal_not_found", "None.", "List them.");
    }
  }

  @Override
  public synchronized void close(SandboxId id) {
    end(id, "closed");
  }

  @Override
  public Capacity capacity() {
    return new Capacity(
        Isolation.EMULATED,
        alive.size(),
        8L << 30,
        4L << 30,
        20,
        new Prepared(4, 5),
        1,
        List.of(new Capacity.Pool("default", 2, 3, 9, 1)));
  }

  private SandboxInfo requireAlive(SandboxId id) {
    SandboxInfo info = alive.get(id);
    if (info == null) {
      throw new SandboxException(
          SandboxException.Reason.NO_SANDBOX,
          "sandbox_not_found",
          "sandbox not found",
          "It was closed. Make another.");
    }
    return info;
  }

  @Override
  public Answered<Fork> fork(SandboxId id, int n, Optional<OnceKey> once) {
    return once(once, Fork.class, () -> makeFork(id, n));
  }

  private synchronized Fork makeFork(SandboxId id, int n) {
    SandboxInfo parent = requireAlive(id);
    forks.add(n);
    List<SandboxInfo> children = new ArrayList<>();
    for (int i = 0; i < n; i++) {
      children.add(
          add(
              copyOf(
                  parent, SandboxId.random(), Optional.of(parent.id()), parent.generation() + 1)));
    }
    return new Fork(children, Duration.ofNanos(12_345_678), Duration.ofMillis(45));
  }

  @Override
  public synchronized List<Relative> family(SandboxId id) {
    SandboxId family = everMade.get(id).family();
    return everMade.values().stream()
        .filter(info -> info.family().equals(family))
        .map(info ->
            new Relative(
                info.id(),
                info.parent(),
                info.generation(),
                info.createdAt(),
                Optional.ofNullable(ends.get(info.id())).map(_ -> CREATED),
                Optional.ofNullable(ends.get(info.id())),
                info.metadata()))
        .toList();
  }

  @Override
  public Difference compare(SandboxId from, SandboxId to, CompareSandboxes what) {
    requireAlive(from);
    requireAlive(to);
    comparisons.add(what);
    return comparing.apply(what);
  }

  @Override
  public synchronized MergeReport merge(SandboxId parent, SandboxId winner, MergeSandboxes how) {
    SandboxInfo old = requireAlive(parent);
    if (!old.family().equals(requireAlive(winner).family())) {
      throw new SandboxException(
          SandboxException.Reason.WRONG_STATE,
          "not_a_relative",
          "They are of different families.",
          "Merge forks.");
    }
    merges.add(how);
    if (how.mode() == MergeSandboxes.Mode.FILES) {
      return merging.apply(how);
    }
    if (!how.dryRun()) {
      end(winner, "merged");
    }
    return MergeReport.whole(!how.dryRun());
  }

  @Override
  public synchronized SpaceInfo freeze(SandboxId id) {
    SandboxInfo frozen = requireAlive(id);
    end(id, "frozen");
    SpaceInfo space =
        new SpaceInfo(
            SpaceId.random(),
            frozen.owner(),
            id,
            Optional.empty(),
            frozen.family(),
            frozen.generation(),
            frozen.template(),
            frozen.shape(),
            CREATED,
            7_000_000,
            frozen.metadata());
    addSpace(space);
    return space;
  }

  /** Adds a Space that a persistent sandbox sleeps in. */
  SpaceInfo sleep(SandboxId id) {
    SandboxInfo info = requireAlive(id);
    SpaceInfo space =
        new SpaceInfo(
            SpaceId.random(),
            info.owner(),
            id,
            Optional.of(id),
            info.family(),
            info.generation(),
            info.template(),
            info.shape(),
            CREATED,
            7_000_000,
            info.metadata());
    addSpace(space);
    return space;
  }

  private void addSpace(SpaceInfo space) {
    spaces.put(space.id(), space);
    spaceOwners.put(space.id(), space.owner());
  }

  @Override
  public List<SpaceInfo> spaces(String owner) {
    return spaces.values().stream().filter(space -> space.owner().equals(owner)).toList();
  }

  @Override
  public Optional<SpaceInfo> findSpace(SpaceId id) {
    return Optional.ofNullable(spaces.get(id));
  }

  @Override
  public Optional<String> spaceOwnerEver(SpaceId id) {
    return Optional.ofNullable(spaceOwners.get(id));
  }

  @Override
  public Answered<SandboxInfo> resume(SpaceId id, Optional<OnceKey> once) {
    return once(once, SandboxInfo.class, () -> makeOf(id));
  }

  private synchronized SandboxInfo makeOf(SpaceId id) {
    SpaceInfo space = spaces.get(id);
    if (space == null) {
      throw new SandboxException(
          SandboxException.Reason.NO_SPACE, "space_gone", "It is deleted.", "Freeze another.");
    }
    return add(
        copyOf(
            everMade.get(space.sandbox()),
            SandboxId.random(),
            Optional.of(space.sandbox()),
            space.generation() + 1));
  }

  @Override
  public void deleteSpace(SpaceId id) {
    SpaceInfo space = spaces.get(id);
    if (space != null && space.heldBy().isPresent()) {
      throw new SandboxException(
          SandboxException.Reason.WRONG_STATE,
          "space_in_use",
          "A persistent sandbox sleeps in it.",
          "Close the sandbox.");
    }
    spaces.remove(id);
  }

  @Override
  public List<TemplateInfo> templates(String owner) {
    List<TemplateInfo> all =
        new ArrayList<>(List.of(template("default", Optional.empty(), true, Optional.empty())));
    templates.forEach((name, request) -> {
      if (request.owner().equals(owner)) {
        all.add(
            template(
                name,
                Optional.of(request.base()),
                false,
                Optional.of(new MachineShape(1, 1024, 4096))));
      }
    });
    return all;
  }

  private static TemplateInfo template(
      String name, Optional<String> base, boolean builtIn, Optional<MachineShape> shape) {
    return new TemplateInfo(
        name,
        base,
        1,
        TemplateInfo.State.READY,
        builtIn,
        false,
        shape,
        shape.map(_ -> CREATED),
        Optional.empty(),
        builtIn ? Optional.of("3.13.5") : Optional.empty(),
        new TreeMap<>(builtIn ? Map.of("pandas", "2.2.3") : Map.of()));
  }

  @Override
  public TemplateBuild buildTemplate(BuildTemplate request) {
    if (request.name().equals("default")) {
      throw new SandboxException(
          SandboxException.Reason.WRONG_STATE,
          "template_built_in",
          "Every host has it.",
          "Choose another name.");
    }
    templates.put(request.name(), request);
    return building.apply(request);
  }

  @Override
  public void deleteTemplate(String owner, String name) {
    BuildTemplate known = templates.get(name);
    if (known == null || !known.owner().equals(owner)) {
      throw new SandboxException(
          SandboxException.Reason.NO_TEMPLATE, "template_gone", "It is not there.", "List them.");
    }
    templates.remove(name);
  }

  private SandboxInfo add(SandboxInfo info) {
    alive.put(info.id(), info);
    everMade.put(info.id(), info);
    owners.put(info.id(), info.owner());
    return info;
  }

  private void end(SandboxId id, String why) {
    alive.remove(id);
    ends.putIfAbsent(id, why);
  }

  private static SandboxInfo copyOf(
      SandboxInfo of, SandboxId id, Optional<SandboxId> parent, int generation) {
    return new SandboxInfo(
        id,
        of.owner(),
        of.state(),
        of.template(),
        of.isolation(),
        of.createdAt(),
        of.lastUsedAt(),
        of.idleTimeout(),
        of.maxLifetime(),
        of.persistent(),
        of.family(),
        parent,
        generation,
        of.shape(),
        of.memoryUsedBytes(),
        of.cpuTime(),
        of.egress(),
        of.metadata());
  }
}
