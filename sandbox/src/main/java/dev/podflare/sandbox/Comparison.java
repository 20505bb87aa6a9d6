package dev.podflare.sandbox;

import dev.podflare.guest.AgentConnection;
import dev.podflare.guest.GuestArchive;
import dev.podflare.guest.GuestChange;
import dev.podflare.guest.GuestEntry;
import dev.podflare.guest.GuestException;
import dev.podflare.guest.GuestNode;
import dev.podflare.guest.GuestRefusedException;
import dev.podflare.guest.GuestVariable;
import dev.podflare.guest.GuestVariables;
import dev.podflare.sandbox.BothMachines.Answers;
import dev.podflare.sandbox.Difference.Aspect;
import dev.podflare.sandbox.Difference.FileChange;
import dev.podflare.sandbox.Difference.FileState;
import dev.podflare.sandbox.Difference.Kind;
import dev.podflare.sandbox.Difference.Variable;
import dev.podflare.sandbox.Difference.VariableChange;
import dev.podflare.sandbox.FileComparison.Side;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;

/** Compares two live machines. Both are asked side by side, and hold nothing of it afterwards. */
final class Comparison {

  /** The largest file whose change is shown as text. */
  private static final int LARGEST_TEXT = 64 << 10;

  /** How much text is fetched from one machine. */
  private static final long ALL_TEXT = 8 << 20;

  private final BothMachines machines;

  private Comparison(BothMachines machines) {
    this.machines = machines;
  }

  /**
   * What differs, seen from the first to the second.
   *
   * <p>With {@code what.variables()}, nobody else may have the turn of Python in either machine, or
   * its guest refuses as busy.
   */
  static Difference compare(AgentConnection from, AgentConnection to, CompareSandboxes what)
      throws GuestException, InterruptedException {
    var machines = new BothMachines(from, to);
    return new Comparison(machines).compare(what);
  }

  private Difference compare(CompareSandboxes what) throws GuestException, InterruptedException {
    BothMachines.Files files = machines.files(what.paths(), Long.MAX_VALUE);
    SortedMap<String, FileChange> changes = changes(files.comparison(), what.text());
    if (!what.variables()) {
      return new Difference(changes, Optional.empty(), files.truncated());
    }
    Answers<GuestVariables> variables = machines.ask(side -> machines.get(side).variables());
    return new Difference(
        changes,
        Optional.of(variables(variables.from(), variables.to())),
        files.truncated() || variables.from().truncated() || variables.to().truncated());
  }

  // ---- files ----

  private SortedMap<String, FileChange> changes(FileComparison comparison, boolean text)
      throws GuestException, InterruptedException {
    Set<String> same = machines.sameContent(comparison.undecided());
    var different = new TreeMap<String, Set<Aspect>>();
    for (String path : comparison.paths()) {
      if (!comparison.isSame(path, same)) {
        boolean both =
            comparison.node(Side.FROM, path).isPresent()
                && comparison.node(Side.TO, path).isPresent();
        different.put(path, both ? comparison.aspects(path, same) : Set.of());
      }
    }
    Map<String, String> texts = text ? texts(comparison, different) : Map.of();
    var changes = new TreeMap<String, FileChange>();
    different.forEach((path, aspects) -> {
      Optional<GuestNode> a = comparison.node(Side.FROM, path);
      Optional<GuestNode> b = comparison.node(Side.TO, path);
      Kind kind = a.isEmpty() ? Kind.ADDED : b.isEmpty() ? Kind.REMOVED : Kind.MODIFIED;
      changes.put(
          GuestChange.printable(path),
          new FileChange(
              kind,
              aspects,
              a.map(Comparison::state),
              b.map(Comparison::state),
              Optional.ofNullable(texts.get(path))));
    });
    return changes;
  }

  private static FileState state(GuestNode node) {
    return new FileState(
        node.type().name().toLowerCase(Locale.ROOT),
        node.size(),
        node.mode(),
        Instant.ofEpochSecond(0, node.modifiedNanos()),
        node.target().map(GuestChange::printable));
  }

  // ---- text ----

  private Map<String, String> texts(FileComparison files, SortedMap<String, Set<Aspect>> different)
      throws GuestException, InterruptedException {
    var candidates = new ArrayList<String>();
    long size = 0;
    for (Map.Entry<String, Set<Aspect>> change : different.entrySet()) {
      String path = change.getKey();
      Optional<GuestNode> a = files.node(Side.FROM, path);
      Optional<GuestNode> b = files.node(Side.TO, path);
      boolean content = a.isEmpty() || b.isEmpty() || change.getValue().contains(Aspect.CONTENT);
      long larger = Math.max(sizeOf(a), sizeOf(b));
      if (content && isSmallFile(a) && isSmallFile(b) && size + larger <= ALL_TEXT) {
        candidates.add(path);
        size += larger;
      }
    }
    if (candidates.isEmpty()) {
      return Map.of();
    }
    Answers<Map<String, String>> contents =
        machines.ask(side -> read(machines.get(side), side, files, candidates));
    var texts = new HashMap<String, String>();
    for (String path : candidates) {
      String a = textOf(contents.from(), files.node(Side.FROM, path), path);
      String b = textOf(contents.to(), files.node(Side.TO, path), path);
      if (a != null && b != null) {
        String name = GuestChange.printable(path);
        texts.put(
            path,
            UnifiedText.of(
                files.node(Side.FROM, path).isEmpty() ? UnifiedText.NULL : name,
                a,
                files.node(Side.TO, path).isEmpty() ? UnifiedText.NULL : name,
                b));
      }
    }
    return texts;
  }

  private static long sizeOf(Optional<GuestNode> node) {
    return node.map(GuestNode::size).orElse(0L);
  }

  private static boolean isSmallFile(Optional<GuestNode> node) {
    return node.isEmpty()
        || (node.get().type() == GuestEntry.Type.FILE && node.get().size() <= LARGEST_TEXT);
  }

  /** Of a file that is not there, the empty text; null if it is there and is no text. */
  private static @org.jspecify.annotations.Nullable String textOf(
      Map<String, String> contents, Optional<GuestNode> node, String path) {
    return node.isEmpty() ? "" : contents.get(path);
  }

  /** The files of one machine that are text. Those that change at this moment are left out. */
  private static Map<String, String> read(
      AgentConnection agent, Side side, FileComparison files, List<String> candidates)
      throws GuestException, InterruptedException {
    List<String> there =
        candidates.stream().filter(path -> files.node(side, path).isPresent()).toList();
    var texts = new HashMap<String, String>();
    try (GuestArchive archive = agent.pack(there)) {
      for (var entry = archive.next(); entry.isPresent(); entry = archive.next()) {
        String path = entry.get().path();
        if (entry.get().size() <= LARGEST_TEXT) {
          text(archive.content().readAllBytes()).ifPresent(text -> texts.put(path, text));
        }
      }
    } catch (GuestRefusedException changed) {
      return texts;
    } catch (GuestException failed) {
      throw failed;
    } catch (InterruptedIOException interrupted) {
      throw (InterruptedException) new InterruptedException().initCause(interrupted);
    } catch (IOException impossible) {
      throw new IllegalStateException("a guest fails in its own ways only", impossible);
    }
    return texts;
  }

  private static Optional<String> text(byte[] content) {
    try {
      String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(content)).toString();
      return text.indexOf('\0') < 0 ? Optional.of(text) : Optional.empty();
    } catch (CharacterCodingException binary) {
      return Optional.empty();
    }
  }

  // ---- variables ----

  /** What differs between two Pythons' globals. */
  static SortedMap<String, VariableChange> variables(GuestVariables from, GuestVariables to) {
    Map<String, GuestVariable> a = byName(from);
    Map<String, GuestVariable> b = byName(to);
    var names = new TreeSet<>(a.keySet());
    names.addAll(b.keySet());
    var changes = new TreeMap<String, VariableChange>();
    for (String name : names) {
      Optional<GuestVariable> before = Optional.ofNullable(a.get(name));
      Optional<GuestVariable> after = Optional.ofNullable(b.get(name));
      if (before.isPresent() && after.isPresent() && isSame(before.get(), after.get())) {
        continue;
      }
      // What one side could not get to in its time is not gone from there.
      if ((before.isEmpty() && from.truncated()) || (after.isEmpty() && to.truncated())) {
        continue;
      }
      Kind kind = before.isEmpty() ? Kind.ADDED : after.isEmpty() ? Kind.REMOVED : Kind.MODIFIED;
      changes.put(
          name,
          new VariableChange(
              kind, before.map(Comparison::variable), after.map(Comparison::variable)));
    }
    return changes;
  }

  private static boolean isSame(GuestVariable a, GuestVariable b) {
    return a.type().equals(b.type()) && a.fingerprint().equals(b.fingerprint());
  }

  private static Map<String, GuestVariable> byName(GuestVariables variables) {
    var byName = new HashMap<String, GuestVariable>();
    for (GuestVariable variable : variables.variables()) {
      byName.put(variable.name(), variable);
    }
    return byName;
  }

  private static Variable variable(GuestVariable variable) {
    return new Variable(variable.type(), variable.repr());
  }
}
