package dev.podflare.sandbox;

import dev.podflare.engine.BootRequest;
import dev.podflare.engine.Engine;
import dev.podflare.engine.EngineException;
import dev.podflare.engine.MachineShape;
import dev.podflare.engine.MicroVm;
import dev.podflare.engine.MicroVmId;
import dev.podflare.guest.AgentConnection;
import dev.podflare.guest.ExecCall;
import dev.podflare.guest.GuestEvent;
import dev.podflare.guest.GuestException;
import dev.podflare.guest.GuestExec;
import dev.podflare.guest.Hello;
import dev.podflare.guest.ResyncToken;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

/**
 * The snapshots that sandboxes are cloned from, one for each template and machine size, kept on
 * disk.
 *
 * <p>A snapshot's directory carries in its name a digest of all that it was made from: engine and
 * processor, guest image with its agent, warm-up code, size. So a changed input simply finds no
 * snapshot, and makes one; what no longer fits any input is removed when its successor is there. A
 * directory is built under another name and renamed when it is complete, so a killed build leaves
 * nothing that could be taken for a snapshot.
 *
 * <p>One build at a time: it is the only thing here that takes seconds, and two would take twice as
 * long.
 */
final class TemplateSnapshots {

  private static final System.Logger LOG = System.getLogger(TemplateSnapshots.class.getName());
  private static final String UNFINISHED = ".unfinished-";

  /** In a template's directory: the engine's snapshot, and what takes over its clones. */
  private static final String MACHINE = "machine";

  private static final String RESYNC = "resync";

  /**
   * Emulated, a boot takes 10 s; on a busy host several times that. A guest that hangs takes for
   * ever.
   */
  private static final Duration BOOT_PATIENCE = Duration.ofMinutes(3);

  private static final Duration WARM_UP_PATIENCE = Duration.ofMinutes(5);

  private record Key(String alike, MachineShape shape) {}

  private final Engine engine;
  private final GuestImage image;
  private final Path directory;
  private final Consumer<String> progress;
  private final Map<Key, TemplateSnapshot> known = new ConcurrentHashMap<>();
  private final ReentrantLock building = new ReentrantLock();

  /**
   * @param directory where the snapshots lie
   * @param progress hears what takes long, one sentence at a time
   */
  TemplateSnapshots(Engine engine, GuestImage image, Path directory, Consumer<String> progress)
      throws IOException {
    this.engine = engine;
    this.image = image;
    this.directory = Files.createDirectories(directory);
    this.progress = progress;
    removeUnfinished();
  }

  /** What all of them boot from. */
  GuestImage image() {
    return image;
  }

  /** The snapshot of a template in a size; made first if there is none that fits. */
  TemplateSnapshot of(Template template, MachineShape shape)
      throws EngineException, InterruptedException {
    Key key = new Key(template.alike(), shape);
    TemplateSnapshot ready = known.get(key);
    if (ready != null) {
      return ready;
    }
    building.lockInterruptibly();
    try {
      TemplateSnapshot meanwhile = known.get(key);
      if (meanwhile != null) {
        return meanwhile;
      }
      TemplateSnapshot snapshot = openOrBuild(template, shape);
      known.put(key, snapshot);
      return snapshot;
    } catch (IOException e) {
      throw new EngineException(
          EngineException.Kind.FAILED,
          "the template " + template.name() + " can't be built: " + e.getMessage(),
          e);
    } finally {
      building.unlock();
    }
  }

  boolean isOf(Template template, MachineShape shape, Path snapshot) {
    TemplateSnapshot ready = known.get(new Key(template.alike(), shape));
    return ready != null && ready.snapshot().directory().equals(snapshot);
  }

  /** Another one in place of one that does not load. */
  TemplateSnapshot again(Template template, MachineShape shape, TemplateSnapshot unfit)
      throws EngineException, InterruptedException {
    building.lockInterruptibly();
    try {
      if (known.remove(new Key(template.alike(), shape), unfit)) {
        Directories.delete(directory.resolve(name(template, shape)));
      }
    } catch (IOException e) {
      throw new EngineException(
          EngineException.Kind.FAILED,
          "the template " + template.name() + " can't be built again: " + e.getMessage(),
          e);
    } finally {
      building.unlock();
    }
    return of(template, shape);
  }

  private TemplateSnapshot openOrBuild(Template template, MachineShape shape)
      throws EngineException, IOException, InterruptedException {
    Path target = directory.resolve(name(template, shape));
    if (Files.exists(target)) {
      try {
        return open(target);
      } catch (EngineException | IOException | IllegalArgumentException unusable) {
        LOG.log(
            System.Logger.Level.WARNING,
            "template " + template.name() + " is built again: " + unusable.getMessage());
        Directories.delete(target);
      }
    }
    progress.accept("building template " + template.alike() + " (" + shape.label() + "), once");
    Path unfinished = Files.createTempDirectory(directory, UNFINISHED);
    try {
      build(template, shape, unfinished);
      Files.move(unfinished, target, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException | EngineException | InterruptedException | RuntimeException e) {
      Directories.delete(unfinished);
      throw e;
    }
    removePredecessors(template, shape);
    return open(target);
  }

  private TemplateSnapshot open(Path directory) throws EngineException, IOException {
    return new TemplateSnapshot(
        engine.open(directory.resolve(MACHINE)),
        ResyncToken.parse(Files.readString(directory.resolve(RESYNC)).strip()));
  }

  private void build(Template template, MachineShape shape, Path into)
      throws EngineException, IOException, InterruptedException {
    try (MicroVm microVm = engine.boot(new BootRequest(MicroVmId.random(), image.boot(), shape))) {
      try (AgentConnection agent = AgentConnection.over(microVm.attach())) {
        Hello hello = agent.awaitHello(BOOT_PATIENCE);
        Files.writeString(into.resolve(RESYNC), hello.resync().hex() + "\n");
        runWarmUp(template, agent);
      } catch (GuestException e) {
        throw new EngineException(
            EngineException.Kind.FAILED,
            "the template " + template.name() + " did not come up: " + e.getMessage(),
            e);
      }
      var _ = engine.freeze(microVm, Files.createDirectory(into.resolve(MACHINE)));
    }
  }

  private static void runWarmUp(Template template, AgentConnection agent)
      throws GuestException, EngineException, InterruptedException {
    // Once for the code, and once for what the code's own path through agent and REPL needs.
    for (String code : new String[] {template.warmUp(), "1"}) {
      StringBuilder said = new StringBuilder();
      try (GuestExec exec = agent.exec(ExecCall.unseen(ExecCall.Language.PYTHON, code))) {
        GuestEvent.Closed end = awaitEnd(exec, said);
        if (end.exitCode() != 0) {
          throw new EngineException(
              EngineException.Kind.FAILED,
              "the warm-up of template " + template.name() + " failed: " + said.toString().strip());
        }
      }
    }
  }

  private static GuestEvent.Closed awaitEnd(GuestExec exec, StringBuilder said)
      throws GuestException, EngineException, InterruptedException {
    while (true) {
      GuestEvent event =
          exec.next(WARM_UP_PATIENCE)
              .orElseThrow(() ->
                  new EngineException(EngineException.Kind.FAILED, "the warm-up takes too long"));
      switch (event) {
        case GuestEvent.Output output when said.length() < 10_000 -> said.append(output.text());
        case GuestEvent.Closed closed -> {
          return closed;
        }
        default -> {}
      }
    }
  }

  /** What the snapshot of a template in a size is called now; another name than of before. */
  String name(Template template, MachineShape shape) {
    return name(template, shape, engine.facts().fingerprint(), image.fingerprint());
  }

  /** Another name for every change of any of these. */
  static String name(Template template, MachineShape shape, String engine, String image) {
    String inputs = String.join("\n", engine, image, template.warmUp());
    return prefix(template.alike(), shape) + Sha256.of(inputs).substring(0, 16);
  }

  private static String prefix(String template, MachineShape shape) {
    return template + "-" + shape.label() + "-";
  }

  private void removePredecessors(Template template, MachineShape shape) throws IOException {
    String current = name(template, shape);
    // Those, too, of a name that had a snapshot of its own before it became another one's.
    for (String owner : new HashSet<>(List.of(template.alike(), template.name()))) {
      try (var all = Files.newDirectoryStream(directory, prefix(owner, shape) + "*")) {
        for (Path path : all) {
          if (!path.getFileName().toString().equals(current)) {
            Directories.delete(path);
          }
        }
      }
    }
  }

  private void removeUnfinished() throws IOException {
    try (var all = Files.newDirectoryStream(directory, UNFINISHED + "*")) {
      for (Path path : all) {
        Directories.delete(path);
      }
    }
  }
}
