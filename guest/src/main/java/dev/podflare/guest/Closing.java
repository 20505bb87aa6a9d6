package dev.podflare.guest;

import dev.podflare.guest.AgentJson.PropertyReader;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;

/** Reads what the guest says at the end of an operation, each operation's own way. */
final class Closing {

  private Closing() {}

  /** The end of an operation that has nothing to say but that it is done. */
  static void done(Piece closed) throws ProtocolViolation, GuestRefusedException {
    read(closed, (name, value) -> {});
  }

  /** The size of the file that was sent or received. */
  static long size(Piece closed) throws ProtocolViolation, GuestRefusedException {
    return number(closed, "size", Long.MAX_VALUE);
  }

  /** What a clone says once it is a machine of its own. */
  static Woken woken(Piece closed) throws ProtocolViolation, GuestRefusedException {
    var woken = new WokenReader();
    read(closed, woken);
    return woken.woken();
  }

  /** The end of the changes of a writable layer. */
  static GuestChanges changes(Piece closed, List<GuestChange> told)
      throws ProtocolViolation, GuestRefusedException {
    var end = new ChangesEnd();
    read(closed, end);
    return new GuestChanges(told, required("base", end.base), required("truncated", end.truncated));
  }

  private static final class ChangesEnd implements PropertyReader {
    private @Nullable String base;
    private @Nullable Boolean truncated;

    @Override
    public void read(String name, JsonParser value) throws ProtocolViolation {
      switch (name) {
        case "base" -> base = GuestText.sentence(AgentJson.text(name, value));
        case "truncated" -> truncated = AgentJson.flag(name, value);
        default -> {}
      }
    }
  }

  private static long number(Piece closed, String field, long most)
      throws ProtocolViolation, GuestRefusedException {
    long[] number = {-1};
    read(
        closed,
        (name, value) -> {
          if (name.equals(field)) {
            number[0] = AgentJson.number(name, value, 0, most);
          }
        });
    if (number[0] < 0) {
      throw missing(field);
    }
    return number[0];
  }

  static GuestEvent.Closed exec(Piece closed) throws ProtocolViolation, GuestRefusedException {
    var exec = new Exec();
    read(closed, exec);
    return exec.closed();
  }

  /** The exit code of a terminal's program. */
  static int terminal(Piece closed) throws ProtocolViolation, GuestRefusedException {
    return (int) number(closed, "exit_code", Integer.MAX_VALUE);
  }

  /** The number of a terminal's first process. */
  static int pid(Piece started) throws ProtocolViolation {
    int[] pid = {0};
    AgentJson.readObject(
        started.bytes(),
        started.length(),
        (name, value) -> {
          if (name.equals("pid")) {
            pid[0] = (int) AgentJson.number(name, value, 1, Integer.MAX_VALUE);
          }
        });
    if (pid[0] == 0) {
      throw new ProtocolViolation("it started a terminal without 'pid'");
    }
    return pid[0];
  }

  /** The terminals of before. */
  static int busy(Piece closed) throws ProtocolViolation, GuestRefusedException {
    int[] busy = {-1};
    read(
        closed,
        (name, value) -> {
          if (name.equals("busy")) {
            busy[0] = (int) AgentJson.number(name, value, 0, Integer.MAX_VALUE);
          }
        });
    if (busy[0] < 0) {
      throw new ProtocolViolation("it did not say how many terminals are busy");
    }
    return busy[0];
  }

  static List<GuestTerminalInfo> terminals(Piece closed)
      throws ProtocolViolation, GuestRefusedException {
    var terminals = new ArrayList<GuestTerminalInfo>();
    read(
        closed,
        (name, value) -> {
          if (name.equals("terminals")) {
            readTerminals(value, terminals);
          }
        });
    return terminals;
  }

  private static void readTerminals(JsonParser value, List<GuestTerminalInfo> into)
      throws ProtocolViolation {
    if (value.currentToken() != JsonToken.START_ARRAY) {
      throw new ProtocolViolation("it told of terminals with what is no array");
    }
    while (value.nextToken() != JsonToken.END_ARRAY) {
      if (into.size() == Limits.TERMINALS) {
        throw new ProtocolViolation("it told of more terminals than there can be");
      }
      if (value.currentToken() != JsonToken.START_OBJECT) {
        throw new ProtocolViolation("it told of a terminal that is no object");
      }
      var terminal = new Terminal();
      AgentJson.readProperties(value, terminal);
      into.add(terminal.info());
    }
  }

  static GuestEntry entry(Piece closed) throws ProtocolViolation, GuestRefusedException {
    var entries = new ArrayList<GuestEntry>(1);
    read(
        closed,
        (name, value) -> {
          if (name.equals("entry")) {
            entries.add(readEntry(value));
          }
        });
    if (entries.size() != 1) {
      throw missing("entry");
    }
    return entries.getFirst();
  }

  static GuestListing listing(Piece closed) throws ProtocolViolation, GuestRefusedException {
    var listing = new Listing();
    read(closed, listing);
    return listing.listing();
  }

  private static void read(Piece closed, PropertyReader more)
      throws ProtocolViolation, GuestRefusedException {
    var outcome = new Outcome(more);
    AgentJson.readObject(closed.bytes(), closed.length(), outcome);
    outcome.throwIfRefused();
  }

  private static GuestEntry readEntry(JsonParser value) throws ProtocolViolation {
    if (value.currentToken() != JsonToken.START_OBJECT) {
      throw new ProtocolViolation("it sent a directory entry that is no object");
    }
    var entry = new Entry();
    AgentJson.readProperties(value, entry);
    return entry.entry();
  }

  private static ProtocolViolation missing(String field) {
    return new ProtocolViolation("it closed an operation without '" + field + "'");
  }

  private static <T> T required(String field, @Nullable T value) throws ProtocolViolation {
    if (value == null) {
      throw missing(field);
    }
    return value;
  }

  /** What every CLOSED has: whether it went well, and if not, why. */
  private static final class Outcome implements PropertyReader {
    private final PropertyReader more;
    private @Nullable Boolean ok;
    private String code = "";
    private String error = "";

    Outcome(PropertyReader more) {
      this.more = more;
    }

    @Override
    public void read(String name, JsonParser value) throws ProtocolViolation {
      switch (name) {
        case "ok" -> ok = AgentJson.flag(name, value);
        case "code" -> code = AgentJson.text(name, value);
        case "error" -> error = AgentJson.text(name, value);
        default -> more.read(name, value);
      }
    }

    void throwIfRefused() throws ProtocolViolation, GuestRefusedException {
      if (!required("ok", ok)) {
        throw GuestRefusedException.byGuest(code, error);
      }
    }
  }

  private static final class Exec implements PropertyReader {
    private @Nullable Integer exitCode;
    private GuestEvent.@Nullable Reason reason;
    private @Nullable Boolean stateKept;
    private @Nullable Duration duration;
    private long dropped;

    @Override
    public void read(String name, JsonParser value) throws ProtocolViolation {
      switch (name) {
        case "exit_code" ->
            exitCode = (int) AgentJson.number(name, value, Integer.MIN_VALUE, Integer.MAX_VALUE);
        case "reason" -> reason = reason(AgentJson.text(name, value));
        case "state_kept" -> stateKept = AgentJson.flag(name, value);
        case "duration_ms" ->
            duration = Duration.ofMillis(AgentJson.number(name, value, 0, Limits.LONGEST_EXEC_MS));
        case "dropped" -> dropped = AgentJson.number(name, value, 0, Long.MAX_VALUE / 2);
        default -> {}
      }
    }

    private static GuestEvent.Reason reason(String word) throws ProtocolViolation {
      for (GuestEvent.Reason reason : GuestEvent.Reason.values()) {
        if (reason.name().toLowerCase(Locale.ROOT).equals(word)) {
          return reason;
        }
      }
      throw new ProtocolViolation("it closed an exec for a reason that is unknown");
    }

    GuestEvent.Closed closed() throws ProtocolViolation {
      return new GuestEvent.Closed(
          required("exit_code", exitCode),
          required("reason", reason),
          required("state_kept", stateKept),
          required("duration_ms", duration),
          dropped);
    }
  }

  private static final class WokenReader implements PropertyReader {
    private @Nullable Integer generation;
    private @Nullable Long guestTime;
    private @Nullable Boolean running;
    private boolean terminals;

    @Override
    public void read(String name, JsonParser value) throws ProtocolViolation {
      switch (name) {
        case "terminals" -> terminals = AgentJson.flag(name, value);
        case "generation" -> generation = (int) AgentJson.number(name, value, 0, Integer.MAX_VALUE);
        case "was_ns" -> guestTime = AgentJson.number(name, value, 0, Long.MAX_VALUE);
        case "running" -> running = AgentJson.flag(name, value);
        default -> {}
      }
    }

    Woken woken() throws ProtocolViolation {
      return new Woken(
          required("generation", generation),
          Instant.EPOCH.plusNanos(required("was_ns", guestTime)),
          required("running", running),
          terminals);
    }
  }

  private static final class Terminal implements PropertyReader {
    private @Nullable Integer stream;
    private @Nullable String name;
    private @Nullable String cmd;
    private @Nullable Integer pid;
    private @Nullable Integer cols;
    private @Nullable Integer rows;
    private @Nullable Instant created;

    @Override
    public void read(String property, JsonParser value) throws ProtocolViolation {
      switch (property) {
        case "stream" -> stream = number(property, value, Limits.LAST_STREAM);
        case "name" -> name = text(property, value, Limits.TERMINAL_NAME);
        case "cmd" -> cmd = text(property, value, Limits.NAME);
        case "pid" -> pid = number(property, value, Integer.MAX_VALUE);
        case "cols" -> cols = number(property, value, Limits.TERMINAL_SIDE);
        case "rows" -> rows = number(property, value, Limits.TERMINAL_SIDE);
        case "created_ms" -> created = AgentJson.time(property, value);
        default -> {}
      }
    }

    private static int number(String property, JsonParser value, int most)
        throws ProtocolViolation {
      return (int) AgentJson.number(property, value, 1, most);
    }

    private static String text(String property, JsonParser value, int longest)
        throws ProtocolViolation {
      String text = AgentJson.text(property, value);
      if (text.length() > longest) {
        throw new ProtocolViolation("it told of a terminal with a '" + property + "' too long");
      }
      return text;
    }

    GuestTerminalInfo info() throws ProtocolViolation {
      return new GuestTerminalInfo(
          required("stream", stream),
          required("name", name),
          required("cmd", cmd),
          required("pid", pid),
          required("cols", cols),
          required("rows", rows),
          required("created_ms", created));
    }
  }

  private static final class Entry implements PropertyReader {
    private @Nullable String name;
    private GuestEntry.@Nullable Type type;
    private @Nullable Long size;
    private @Nullable Integer mode;
    private @Nullable Instant modified;

    @Override
    public void read(String property, JsonParser value) throws ProtocolViolation {
      switch (property) {
        case "name" -> name = name(AgentJson.text(property, value));
        case "type" -> type = type(AgentJson.text(property, value));
        case "size" -> size = AgentJson.number(property, value, 0, Long.MAX_VALUE);
        case "mode" -> mode = (int) AgentJson.number(property, value, 0, 07777);
        case "mtime" -> modified = AgentJson.time(property, value);
        default -> {}
      }
    }

    private static String name(String name) throws ProtocolViolation {
      if (name.length() > Limits.NAME) {
        throw new ProtocolViolation("it named a file with more than 4,096 characters");
      }
      return name;
    }

    private static GuestEntry.Type type(String word) throws ProtocolViolation {
      return switch (word) {
        case "file" -> GuestEntry.Type.FILE;
        case "directory" -> GuestEntry.Type.DIRECTORY;
        case "symlink" -> GuestEntry.Type.SYMLINK;
        case "other" -> GuestEntry.Type.OTHER;
        default -> throw new ProtocolViolation("it named a file of an unknown type");
      };
    }

    GuestEntry entry() throws ProtocolViolation {
      return new GuestEntry(
          required("name", name),
          required("type", type),
          required("size", size),
          required("mode", mode),
          required("mtime", modified));
    }
  }

  private static final class Listing implements PropertyReader {
    private @Nullable List<GuestEntry> entries;
    private boolean truncated;

    @Override
    public void read(String name, JsonParser value) throws ProtocolViolation {
      switch (name) {
        case "entries" -> entries = readEntries(value);
        case "truncated" -> truncated = AgentJson.flag(name, value);
        default -> {}
      }
    }

    private static List<GuestEntry> readEntries(JsonParser value) throws ProtocolViolation {
      if (value.currentToken() != JsonToken.START_ARRAY) {
        throw new ProtocolViolation("it sent a listing that is no array");
      }
      var entries = new ArrayList<GuestEntry>();
      while (value.nextToken() != JsonToken.END_ARRAY) {
        if (entries.size() == Limits.ENTRIES) {
          throw new ProtocolViolation("it listed more than 10,000 entries");
        }
        entries.add(readEntry(value));
      }
      return entries;
    }

    GuestListing listing() throws ProtocolViolation {
      return new GuestListing(required("entries", entries), truncated);
    }
  }
}
