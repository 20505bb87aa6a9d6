package dev.podflare.guest;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Reads the records of docs/agent-protocol.md that a guest answers with. */
final class Answers {

  private static final int DIRECTORY = 1;
  private static final int ENTRY = 2;
  private static final int ENTRY_OF_BASE = 3;

  private static final int TYPE = 0170000;
  private static final int PERMISSIONS = 07777;

  private static final int DIGEST = 32;

  private Answers() {}

  /** What the writable layer holds. */
  static List<GuestChange> changes(Records records) throws IOException, ProtocolViolation {
    var changes = new ArrayList<GuestChange>();
    String directory = null;
    long characters = 0;
    while (records.hasNext()) {
      int kind = records.u8();
      if (kind == DIRECTORY) {
        String path = records.path(records.u16());
        directory = path.equals("/") ? path : path + "/";
        continue;
      }
      if (directory == null || (kind != ENTRY && kind != ENTRY_OF_BASE)) {
        throw new ProtocolViolation("it told a change of an unknown kind");
      }
      GuestChange change = change(records, directory, kind == ENTRY_OF_BASE);
      characters += change.path().length();
      if (changes.size() == Limits.CHANGES || characters > Limits.CHANGED_PATHS) {
        throw new ProtocolViolation("it told more changes than it may");
      }
      changes.add(change);
    }
    return changes;
  }

  private static GuestChange change(Records records, String directory, boolean ofBase)
      throws IOException, ProtocolViolation {
    int mode = records.u16();
    long size = records.u63("a size");
    long modified = records.i64();
    long changed = records.i64();
    long inode = records.i64();
    int nameLength = records.u16();
    int targetLength = records.u16();
    String name = records.name(nameLength);
    if (!GuestPaths.isName(name)) {
      throw new ProtocolViolation("it sent a name that can't be one");
    }
    Optional<GuestNode> now = node(mode, size, modified, records.name(targetLength));
    Optional<GuestNode> base = ofBase ? node(records) : Optional.empty();
    return new GuestChange(directory + name, changed, inode, now, base);
  }

  private static Optional<GuestNode> node(Records records) throws IOException, ProtocolViolation {
    int mode = records.u16();
    long size = records.u63("a size");
    long modified = records.i64();
    return node(mode, size, modified, records.name(records.u16()));
  }

  private static Optional<GuestNode> node(int mode, long size, long modified, String target) {
    GuestEntry.Type type =
        switch (mode & TYPE) {
          case 0 -> null;
          case 0100000 -> GuestEntry.Type.FILE;
          case 0040000 -> GuestEntry.Type.DIRECTORY;
          case 0120000 -> GuestEntry.Type.SYMLINK;
          default -> GuestEntry.Type.OTHER;
        };
    if (type == null) {
      return Optional.empty();
    }
    return Optional.of(
        new GuestNode(
            type,
            size,
            mode & PERMISSIONS,
            modified,
            type == GuestEntry.Type.SYMLINK ? Optional.of(target) : Optional.empty()));
  }

  /** What is at each path, in the order in which they were asked. */
  static Map<String, GuestNode> nodes(Collection<String> paths, Records records)
      throws IOException, ProtocolViolation {
    var nodes = new HashMap<String, GuestNode>();
    for (String path : paths) {
      node(records).ifPresent(node -> nodes.put(path, node));
    }
    return nodes;
  }

  /** The digests of those that are regular files. */
  static Map<String, String> digests(Collection<String> paths, Records records) throws IOException {
    var digests = new HashMap<String, String>();
    for (String path : paths) {
      byte[] digest = records.bytes(DIGEST);
      if (!Records.isZero(digest)) {
        digests.put(path, HexFormat.of().formatHex(digest));
      }
    }
    return digests;
  }

  /** When the files were made, of those that know it. */
  static Map<String, Long> births(Collection<String> paths, Records records) throws IOException {
    var births = new HashMap<String, Long>();
    for (String path : paths) {
      long birth = records.i64();
      if (birth >= 0) {
        births.put(path, birth);
      }
    }
    return births;
  }

  /** The globals of the user's Python. */
  static GuestVariables variables(Records records) throws IOException, ProtocolViolation {
    boolean truncated = records.u8() != 0;
    var variables = new HashMap<String, GuestVariable>();
    while (records.hasNext()) {
      int name = records.u16();
      int type = records.u16();
      int repr = records.u16();
      int fingerprint = records.u16();
      var variable =
          new GuestVariable(
              records.sentence(name),
              records.sentence(type),
              records.sentence(repr),
              records.sentence(fingerprint));
      if (variables.size() == Limits.VARIABLES) {
        throw new ProtocolViolation("it told of more variables than it may");
      }
      variables.put(variable.name(), variable);
    }
    return new GuestVariables(List.copyOf(variables.values()), truncated);
  }
}
