package dev.podflare.sandbox;

import dev.podflare.engine.Egress;
import dev.podflare.engine.Engine;
import dev.podflare.engine.EngineException;
import dev.podflare.engine.MachineShape;
import java.io.IOException;
import java.nio.file.Path;
import java.time.InstantSource;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * The templates that there are: those that every host has, and those that users built.
 *
 * <p>A user's template is the snapshot of a machine that was itself cloned from another template,
 * so it consists of layers over that one's files, which it shares by hard links. Machines that are
 * cloned from it have links of their own: it can be deleted or replaced while they live, and its
 * base while it is there.
 *
 * <p><b>Whatever dies, a name means the old build or the new one.</b> A build's directory gets its
 * name when it is whole and durable; then one transaction of the registry puts it in place of the
 * one before; then that one's directory is deleted. {@link #recover} makes good what was left
 * between any two of these.
 */
final class Templates {

  private static final System.Logger LOG = System.getLogger(Templates.class.getName());

  private final Engine engine;
  private final InstantSource clock;
  private final Zygotes zygotes;
  private final TemplateSnapshots snapshots;
  private final TemplateRegistry registry;
  private final TemplateDirectories directories;
  private final Map<String, Template> builtIn = new TreeMap<>();
  private final Map<TemplateId, TemplateSnapshot> opened = new ConcurrentHashMap<>();

  /** Held to read by who needs a build's files, to write by who deletes them. */
  private final ReentrantReadWriteLock files = new ReentrantReadWriteLock();

  Templates(
      Engine engine,
      InstantSource clock,
      Zygotes zygotes,
      TemplateSnapshots snapshots,
      TemplateRegistry registry,
      TemplateDirectories directories,
      Collection<Template> builtIn) {
    this.engine = engine;
    this.clock = clock;
    this.zygotes = zygotes;
    this.snapshots = snapshots;
    this.registry = registry;
    this.directories = directories;
    builtIn.forEach(template -> this.builtIn.put(template.name(), template));
  }

  // ---- look ----

  Collection<Template> builtIn() {
    return builtIn.values();
  }

  boolean isBuiltIn(String name) {
    return builtIn.containsKey(name);
  }

  /**
   * The template that an owner means by a name.
   *
   * @param field of the request that has the name
   * @throws SandboxException if there is none, it was never built to its end, or does not fit
   */
  TemplateSource require(String owner, String name, String field) {
    Template common = builtIn.get(name);
    if (common != null) {
      return new TemplateSource.BuiltIn(common);
    }
    TemplateRecord built =
        registry.ready(owner, name).orElseThrow(() -> notThere(owner, name, field));
    if (!fits(built)) {
      throw Refusals.templateUnfit(name, built.base());
    }
    return new TemplateSource.Built(built);
  }

  private SandboxException notThere(String owner, String name, String field) {
    for (TemplateRegistry.Entry build : registry.named(owner, name)) {
      return build.state() == TemplateRegistry.State.BUILDING
          ? Refusals.templateNotBuiltYet(name)
          : Refusals.templateNeverBuilt(name, build.error().orElse("its build failed."));
    }
    List<String> names = new ArrayList<>(builtIn.keySet());
    registry.ownedBy(owner).stream()
        .filter(build -> build.state() == TemplateRegistry.State.READY)
        .map(build -> build.template().name())
        .distinct()
        .forEach(names::add);
    return Refusals.invalid(
        field,
        "There is no template named " + name + ".",
        "Use one of: " + String.join(", ", names) + ".");
  }

  private boolean fits(TemplateRecord built) {
    return built.engine().equals(engine.facts().fingerprint());
  }

  /** The templates that an owner can use: first those that every host has, then his own. */
  List<TemplateInfo> list(String owner) {
    List<TemplateInfo> all = new ArrayList<>();
    for (Template template : builtIn.values()) {
      all.add(
          new TemplateInfo(
              template.name(),
              Optional.empty(),
              1,
              TemplateInfo.State.READY,
              true,
              false,
              Optional.empty(),
              Optional.empty(),
              Optional.empty(),
              snapshots.image().python(),
              snapshots.image().pythonPackages()));
    }
    Map<String, List<TemplateRegistry.Entry>> byName = new LinkedHashMap<>();
    for (TemplateRegistry.Entry build : registry.ownedBy(owner)) {
      byName.computeIfAbsent(build.template().name(), _ -> new ArrayList<>()).add(build);
    }
    byName.values().forEach(builds -> all.add(info(builds)));
    return all;
  }

  /**
   * @param builds of one name: the one that is ready, if there is one, and the last one
   */
  private TemplateInfo info(List<TemplateRegistry.Entry> builds) {
    TemplateRegistry.Entry last = builds.getLast();
    Optional<TemplateRecord> ready =
        builds.stream()
            .filter(build -> build.state() == TemplateRegistry.State.READY)
            .map(TemplateRegistry.Entry::template)
            .findFirst();
    Optional<TemplateRecord> usable = ready.filter(this::fits);
    TemplateRecord shown = ready.orElse(last.template());
    Optional<String> error = last.error();
    if (ready.isPresent() && usable.isEmpty()) {
      error = Optional.of(Refusals.unfitSentence(shown.name()));
    }
    TemplateInfo.State state =
        last.state() == TemplateRegistry.State.BUILDING
            ? TemplateInfo.State.BUILDING
            : usable.isPresent() ? TemplateInfo.State.READY : TemplateInfo.State.FAILED;
    return new TemplateInfo(
        shown.name(),
        Optional.of(shown.base()),
        ready.map(TemplateRecord::version).orElse(0),
        state,
        false,
        ready.isPresent() && isStale(shown),
        Optional.of(shown.shape()),
        Optional.of(shown.createdAt()),
        error,
        Optional.empty(),
        Collections.emptySortedMap());
  }

  /**
   * Whether what a template was built on is another by now, or no more: the image, the engine, the
   * warm-up of a common one, a user's own, or what that was built on.
   */
  boolean isStale(TemplateRecord built) {
    Template common = builtIn.get(built.base());
    if (common != null) {
      return !snapshots.name(common, built.shape()).equals(built.baseMark());
    }
    // Ends, since a base whose mark is the same was built before.
    return registry
        .ready(built.owner(), built.base())
        .map(base -> !base.id().value().equals(built.baseMark()) || isStale(base))
        .orElse(true);
  }

  /** What a template is now; another one than before if it has changed. */
  String mark(TemplateSource source, MachineShape shape) {
    return switch (source) {
      case TemplateSource.BuiltIn(Template template) -> snapshots.name(template, shape);
      case TemplateSource.Built(TemplateRecord template) -> template.id().value();
    };
  }

  // ---- clone ----

  /** Builds a template that every host has, if it is not there in this size. */
  void prepare(Template template, MachineShape shape) throws EngineException, InterruptedException {
    var _ = snapshots.of(template, shape);
  }

  /** The first machine of a build that is not known yet, awake. */
  Machine proofOf(TemplateRecord template, TemplateSnapshot snapshot)
      throws EngineException, InterruptedException {
    try {
      return Machine.cloneOf(snapshot, new TemplateSource.Built(template).reach(), zygotes, clock);
    } finally {
      // Its directory gets another name when the build is known.
      zygotes.end(snapshot.snapshot().directory());
    }
  }

  /** Starts a clone and wakes it. Nothing is left of it if that fails. */
  Machine cloneOf(TemplateSource source, MachineShape shape)
      throws EngineException, InterruptedException {
    return switch (source) {
      case TemplateSource.BuiltIn(Template template) ->
          from(
              template,
              shape,
              snapshot -> Machine.cloneOf(snapshot, source.reach(), zygotes, clock));
      case TemplateSource.Built(TemplateRecord template) -> cloneOf(template, source.reach());
    };
  }

  /**
   * Starts a clone of a template that every host has. It has yet to {@linkplain
   * Machine#takeIdentity take an identity}.
   */
  Machine asleepCloneOf(Template template, MachineShape shape)
      throws EngineException, InterruptedException {
    Egress reach = new TemplateSource.BuiltIn(template).reach();
    return from(
        template, shape, snapshot -> Machine.asleepCloneOf(snapshot, reach, zygotes, clock));
  }

  private Machine cloneOf(TemplateRecord template, Egress egress)
      throws EngineException, InterruptedException {
    files.readLock().lock();
    try {
      return Machine.cloneOf(open(present(template)), egress, zygotes, clock);
    } catch (EngineException e) {
      if (e.kind() == EngineException.Kind.FAILED && isStale(template)) {
        // Its agent is as old as it is, and need not speak as this server does.
        LOG.log(System.Logger.Level.WARNING, "a clone of a stale template did not come up", e);
        throw Refusals.templateOutdated(template.name(), template.base());
      }
      throw e;
    } finally {
      files.readLock().unlock();
    }
  }

  /** The same, or what took its place a moment ago. */
  private TemplateRecord present(TemplateRecord template) {
    if (directories.has(template.id())) {
      return template;
    }
    return registry
        .ready(template.owner(), template.name())
        .filter(next -> next.shape().equals(template.shape()) && fits(next))
        .orElseThrow(() -> Refusals.templateGone(template.name()));
  }

  private TemplateSnapshot open(TemplateRecord template) throws EngineException {
    TemplateSnapshot known = opened.get(template.id());
    if (known != null) {
      return known;
    }
    try {
      TemplateSnapshot snapshot =
          new TemplateSnapshot(
              engine.open(directories.machine(template.id())),
              directories.read(template.id()).resync());
      opened.put(template.id(), snapshot);
      return snapshot;
    } catch (IOException e) {
      throw Refusals.templateDamaged(template.name(), e);
    } catch (EngineException e) {
      if (e.kind() == EngineException.Kind.SNAPSHOT_MISMATCH) {
        throw Refusals.templateDamaged(template.name(), e);
      }
      throw e;
    }
  }

  /** Sees to it that clones of a template are warm in a while. */
  void warm(Template template, MachineShape shape) throws EngineException, InterruptedException {
    var _ =
        from(
            template,
            shape,
            snapshot -> {
              zygotes.warm(snapshot);
              return snapshot;
            });
  }

  private interface Use<T> {
    T of(TemplateSnapshot snapshot) throws EngineException, InterruptedException;
  }

  /** Its files are whole, but whether a state loads is known only when it does. */
  private <T> T from(Template template, MachineShape shape, Use<T> use)
      throws EngineException, InterruptedException {
    TemplateSnapshot snapshot = snapshots.of(template, shape);
    try {
      return use.of(snapshot);
    } catch (EngineException e) {
      if (e.kind() != EngineException.Kind.SNAPSHOT_MISMATCH) {
        throw e;
      }
      LOG.log(
          System.Logger.Level.WARNING,
          "template " + template.name() + " is built again: " + e.getMessage());
      return use.of(snapshots.again(template, shape, snapshot));
    }
  }

  /** Whether it is this template's snapshot. */
  boolean isOf(Template template, MachineShape shape, Path snapshot) {
    return snapshots.isOf(template, shape, snapshot);
  }

  /** Whether it is this build's snapshot. */
  boolean isOf(TemplateId build, Path snapshot) {
    return directories.machine(build).equals(snapshot);
  }

  /** Gives back the memory of most that clones are forked from; the next of each is late. */
  void endMostZygotes() {
    zygotes.endMost();
  }

  // ---- change ----

  /** How many names of its own an owner has. */
  long count(String owner) {
    return registry.ownedBy(owner).stream()
        .map(build -> build.template().name())
        .distinct()
        .count();
  }

  boolean isKnown(String owner, String name) {
    return !registry.named(owner, name).isEmpty();
  }

  /** Writes down that a build begins. */
  TemplateRecord begin(String owner, String name, TemplateSource base, MachineShape shape) {
    TemplateRecord template =
        new TemplateRecord(
            TemplateId.random(),
            owner,
            name,
            registry.nextVersion(owner, name),
            base.name(),
            mark(base, shape),
            engine.facts().fingerprint(),
            shape,
            clock.instant().truncatedTo(ChronoUnit.MILLIS));
    registry.begin(template);
    return template;
  }

  void fail(TemplateRecord template, String why) {
    registry.fail(template.id(), why);
  }

  /** The empty directory for the snapshot of a build's machine. */
  Path directoryFor(TemplateManifest manifest) throws IOException {
    return directories.begin(manifest);
  }

  /**
   * A build is whole, and takes the place of the one before.
   *
   * @return the builds that it took the place of
   * @throws SandboxException if it was deleted meanwhile
   */
  List<TemplateId> finish(TemplateRecord template) throws IOException {
    directories.finish(template.id());
    List<TemplateId> before =
        registry.ready(template.owner(), template.name()).map(TemplateRecord::id).stream().toList();
    if (!registry.ready(template)) {
      throw Refusals.templateGone(template.name());
    }
    return before;
  }

  /**
   * Deletes all builds of a name in the registry.
   *
   * @return the builds whose files are to be discarded
   * @throws SandboxException if there is none, or every host has it
   */
  List<TemplateId> delete(String owner, String name) {
    if (isBuiltIn(name)) {
      throw Refusals.templateBuiltIn(name);
    }
    List<TemplateId> builds =
        registry.named(owner, name).stream().map(build -> build.template().id()).toList();
    if (registry.delete(owner, name, clock.instant()) == 0) {
      throw Refusals.noTemplate();
    }
    return builds;
  }

  /** Deletes the files of a build that no registry names any more. */
  void discard(TemplateId id) {
    zygotes.end(directories.machine(id));
    files.writeLock().lock();
    try {
      opened.remove(id);
      directories.delete(id);
    } catch (IOException e) {
      LOG.log(
          System.Logger.Level.WARNING,
          "the files of a template are left until the next start of the server",
          e);
    } finally {
      files.writeLock().unlock();
    }
  }

  // ---- after the death of a server ----

  /**
   * Makes good what a server that died left half done, before any call comes in.
   *
   * @return a sentence for the operator, if there are templates of which he may want to know
   */
  Optional<String> recover() throws IOException {
    directories.deleteUnfinished();
    for (TemplateId id : directories.all()) {
      if (!isReady(id)) {
        takeIn(id);
      }
    }
    // Only now, as one that was taken in may have taken the place of another.
    for (TemplateId id : directories.all()) {
      if (!isReady(id)) {
        directories.delete(id);
      }
    }
    int stale = 0;
    int unfit = 0;
    for (TemplateRegistry.Entry build : registry.all()) {
      switch (build.state()) {
        case BUILDING ->
            registry.fail(build.template().id(), "The server was restarted while it was built.");
        case READY -> {
          if (!directories.has(build.template().id())) {
            LOG.log(System.Logger.Level.WARNING, "a template's files are gone, and so is it");
            registry.delete(build.template().id(), clock.instant());
          } else if (!fits(build.template())) {
            unfit++;
          } else if (isStale(build.template())) {
            stale++;
          }
        }
        case FAILED -> {}
      }
    }
    return changed(stale, unfit);
  }

  private boolean isReady(TemplateId id) {
    return registry.all().stream()
        .anyMatch(build ->
            build.template().id().equals(id) && build.state() == TemplateRegistry.State.READY);
  }

  /** A build whose directory has its name is whole, whether or not that was written down. */
  private void takeIn(TemplateId id) {
    try {
      if (registry.ready(directories.read(id).template())) {
        LOG.log(System.Logger.Level.INFO, "a template was just done when the server died");
      }
    } catch (IOException unreadable) {
      LOG.log(System.Logger.Level.WARNING, "a template can't be read, and is deleted", unreadable);
    }
  }

  private static Optional<String> changed(int stale, int unfit) {
    if (stale + unfit == 0) {
      return Optional.empty();
    }
    return Optional.of(
        "of the templates that users built, "
            + stale
            + " stand on a base that has changed and can be used all the same, "
            + unfit
            + " do not fit this host any more; `podflare template list` names them");
  }
}
