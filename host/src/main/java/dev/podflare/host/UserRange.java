package dev.podflare.host;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A block of user ids that no other server of this host uses, outside of the ranges that
 * distributions hand out. Users of it own nothing but what this server gives them.
 *
 * <p>A block is a file whose lines are the directories that hold it: of a server, or of microVMs
 * that outlive it. When none of them exists any more, the block belongs to nobody and is taken
 * over. What the file says is whole at any instant, and changed by one process at a time.
 *
 * <p>Safe for use by many threads and processes.
 *
 * @param block from 0 to {@value #MOST} - 1
 */
public record UserRange(int block) {

  /** How many blocks one host has. */
  public static final int MOST = 1000;

  private static final int USERS = 4096;

  /** Those before are the users of {@linkplain Lease#userId leases}. */
  private static final int BASE = 1_879_000_000 + Lease.MOST;

  private static final Path DIRECTORY = HostLock.DIRECTORY.resolve("users");
  private static final String USERS_OF_PROCESS = "Uid:";

  public UserRange {
    if (block < 0 || block >= MOST) {
      throw new IllegalArgumentException("no such block of users: " + block);
    }
  }

  /**
   * Finds the block that a directory holds, or takes the lowest free one for it.
   *
   * @param holder an existing directory
   * @throws HostException if all are taken
   */
  public static UserRange take(Path holder) throws HostException {
    String name = name(holder);
    try (var _ = HostLock.acquire()) {
      Files.createDirectories(DIRECTORY);
      UserRange free = null;
      for (int block = MOST - 1; block >= 0; block--) {
        UserRange range = new UserRange(block);
        List<String> holders = range.holders();
        if (holders.contains(name)) {
          return range;
        }
        free = holders.isEmpty() ? range : free;
      }
      if (free == null) {
        throw new HostException("all " + MOST + " blocks of users of this host are taken");
      }
      free.write(List.of(name));
      return free;
    } catch (IOException e) {
      throw new HostException("users can't be kept in " + DIRECTORY, e);
    }
  }

  /**
   * Lets a directory no longer hold the block. Does nothing if it does not hold it.
   *
   * @param holder a directory, which may be gone
   */
  public void release(Path holder) throws HostException {
    String name = name(holder);
    try (var _ = HostLock.acquire()) {
      List<String> holders = new ArrayList<>(lines());
      if (holders.remove(name)) {
        holders.removeIf(other -> !Files.exists(Path.of(other)));
        if (holders.isEmpty()) {
          Files.delete(file());
        } else {
          write(holders);
        }
      }
    } catch (IOException e) {
      throw new HostException("the users from " + first() + " on can't be given back", e);
    }
  }

  /** The lowest user id of the block. */
  public int first() {
    return BASE + block * USERS;
  }

  /** How many ids it has, one after the other. */
  public int count() {
    return USERS;
  }

  /** Whether a process has a user of the block, among those that it has or can take again. */
  public boolean contains(long pid) {
    try (var status = Files.lines(Path.of("/proc", Long.toString(pid), "status"))) {
      return status
          .filter(line -> line.startsWith(USERS_OF_PROCESS))
          .flatMap(line -> Arrays.stream(line.substring(USERS_OF_PROCESS.length()).split("\\s+")))
          .filter(word -> !word.isEmpty())
          .mapToLong(Long::parseLong)
          .anyMatch(user -> user >= first() && user < (long) first() + USERS);
    } catch (IOException | java.io.UncheckedIOException ended) {
      return false;
    }
  }

  /** Those that exist. */
  private List<String> holders() throws IOException {
    return lines().stream().filter(holder -> Files.exists(Path.of(holder))).toList();
  }

  private List<String> lines() throws IOException {
    try {
      return Files.readAllLines(file());
    } catch (NoSuchFileException free) {
      return List.of();
    }
  }

  /** Aside and then into place, so that whoever is killed meanwhile leaves what was there. */
  private void write(Iterable<String> holders) throws IOException {
    Path aside = DIRECTORY.resolve("new");
    Files.write(aside, holders);
    Files.move(aside, file(), StandardCopyOption.ATOMIC_MOVE);
  }

  private Path file() {
    return DIRECTORY.resolve(Integer.toString(block));
  }

  private static String name(Path holder) {
    String name = holder.toAbsolutePath().toString();
    if (name.contains("\n") || name.contains("\r")) {
      throw new IllegalArgumentException("a directory with a line's end in its name");
    }
    return name;
  }
}
