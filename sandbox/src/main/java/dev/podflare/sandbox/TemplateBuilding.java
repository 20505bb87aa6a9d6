package dev.podflare.sandbox;

import dev.podflare.engine.Engine;
import dev.podflare.engine.MachineShape;
import java.io.IOException;
import java.time.Duration;
import java.time.InstantSource;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Builds templates for users, replaces and deletes them.
 *
 * <p>A build goes on whether or not anybody reads what it says. It ends by itself, by its timeout,
 * when its template is deleted, or with the server.
 */
final class TemplateBuilding {

  private static final System.Logger LOG = System.getLogger(TemplateBuilding.class.getName());

  /** Each takes a machine's memory, and as much of a processor as it gets. */
  private static final int MOST_BUILDS = 2;

  /** Names that one key may have. Each costs disk for as long as it is there. */
  private static final int MOST_TEMPLATES = 100;

  /** For a build that was interrupted to be gone. */
  private static final Duration LAST_STEPS = Duration.ofSeconds(30);

  private record Name(String owner, String name) {}

  private record Build(RunningBuild build, Thread thread) {}

  private final Engine engine;
  private final OpenSandboxes open;
  private final Sizes sizes;
  private final Room room;
  private final InstantSource clock;
  private final Templates templates;
  private final PoolsOnDemand pools;

  /** Held while a build begins, is delivered or deleted: each sees what the others did. */
  private final ReentrantLock change = new ReentrantLock();

  private final Map<Name, Build> running = new HashMap<>();

  TemplateBuilding(
      Engine engine,
      OpenSandboxes open,
      Sizes sizes,
      Room room,
      InstantSource clock,
      Templates templates,
      PoolsOnDemand pools) {
    this.engine = engine;
    this.open = open;
    this.sizes = sizes;
    this.room = room;
    this.clock = clock;
    this.templates = templates;
    this.pools = pools;
  }

  /** Begins to build. What the build says is for the caller to read, or not. */
  TemplateBuild begin(BuildTemplate request) {
    if (templates.isBuiltIn(request.name())) {
      throw Refusals.templateBuiltIn(request.name());
    }
    if (request.base().equals(request.name())) {
      throw Refusals.invalid(
          "from",
          "A template can't be built from itself.",
          "Build it from what it was built from before, or choose another name.");
    }
    TemplateSource base = templates.require(request.owner(), request.base(), "from");
    MachineShape shape = shapeOf(request, base);
    change.lock();
    try {
      open.requireTaking();
      Name name = new Name(request.owner(), request.name());
      if (running.containsKey(name)) {
        throw Refusals.templateBuilding(request.name());
      }
      if (running.size() >= MOST_BUILDS) {
        throw Refusals.tooManyBuilds(MOST_BUILDS);
      }
      if (templates.count(request.owner()) >= MOST_TEMPLATES
          && !templates.isKnown(request.owner(), request.name())) {
        throw Refusals.tooManyTemplates(MOST_TEMPLATES);
      }
      room.require(1);
      TemplateRecord template = templates.begin(request.owner(), request.name(), base, shape);
      RunningBuild build =
          new RunningBuild(request, template, base, templates, engine, clock, this::deliver);
      Thread thread =
          Thread.ofVirtual().name("build-" + request.name()).unstarted(() -> run(name, build));
      running.put(name, new Build(build, thread));
      thread.start();
      return build.events();
    } finally {
      change.unlock();
    }
  }

  private MachineShape shapeOf(BuildTemplate request, TemplateSource base) {
    return switch (base) {
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

  private void run(Name name, RunningBuild build) {
    try {
      build.run();
    } finally {
      change.lock();
      try {
        running.remove(name);
      } finally {
        change.unlock();
      }
    }
  }

  private void deliver(TemplateRecord template, Machine proof) throws IOException {
    List<TemplateId> before;
    boolean delivered = false;
    change.lock();
    try {
      before = templates.finish(template);
      delivered = true;
    } finally {
      change.unlock();
      if (!delivered) {
        proof.close();
      }
    }
    TemplateSource source = new TemplateSource.Built(template);
    pools.begin(
        template.id(),
        template.name(),
        () -> templates.cloneOf(source, template.shape()),
        Optional.of(proof));
    before.forEach(this::forget);
  }

  private void forget(TemplateId id) {
    pools.end(id);
    templates.discard(id);
  }

  /** Deletes a template; a build of it that goes on ends. Sandboxes of it live on. */
  void delete(String owner, String name) {
    List<TemplateId> builds;
    Optional<Build> build;
    change.lock();
    try {
      builds = templates.delete(owner, name);
      build = Optional.ofNullable(running.get(new Name(owner, name)));
      build.ifPresent(one -> stop(one, "The template was deleted."));
    } finally {
      change.unlock();
    }
    if (build.isPresent() && !ended(build.get())) {
      LOG.log(System.Logger.Level.WARNING, "the build of a deleted template does not end");
    }
    builds.forEach(this::forget);
  }

  private static void stop(Build build, String why) {
    build.build().cancelledBecause(why);
    build.thread().interrupt();
  }

  /** Ends all builds, and returns when they are gone. */
  void endAll() {
    List<Build> all;
    change.lock();
    try {
      all = List.copyOf(running.values());
      all.forEach(build -> stop(build, "The server was stopped while it was built."));
    } finally {
      change.unlock();
    }
    for (Build build : all) {
      if (!ended(build)) {
        LOG.log(System.Logger.Level.WARNING, "a build does not end with the server");
      }
    }
  }

  private static boolean ended(Build build) {
    try {
      return build.thread().join(LAST_STEPS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }
}
