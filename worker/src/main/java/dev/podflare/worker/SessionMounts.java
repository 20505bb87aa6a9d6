package dev.podflare.worker;

import dev.podflare.sdk.PodflareException;
import dev.podflare.sdk.Sandbox;
import dev.podflare.worker.Attachments.MountedFile;
import dev.podflare.worker.Attachments.Repository;
import dev.podflare.worker.Attachments.Skill;
import dev.podflare.worker.Attachments.Store;
import dev.podflare.worker.GuestScript.Deed;
import dev.podflare.worker.GuestScript.Done;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * What a session brings along, in its sandbox: put there before its first call, memory synced
 * afterwards. One thread uses it; any may ask {@link #isReadOnly}.
 */
final class SessionMounts {
  /** What a session's mounts are made with. */
  record Tools(Skills skills, FileMounts files, RepositoryMounts repositories) {}

  /** Makes the two sides of a memory store. */
  interface Stores {
    MemoryStore.Remote remote(Store store);
  }

  private static final Logger LOG = System.getLogger(SessionMounts.class.getPackageName());

  /** Documented: how often memory is synced at most. */
  private static final Duration BETWEEN_SYNCS = Duration.ofSeconds(15);

  private static final Duration LONGEST_SYNC = Duration.ofSeconds(30);

  private static final int MOST_TRIES = 4;
  private static final Duration FIRST_PAUSE = Duration.ofMillis(500);
  private static final Duration LONGEST_PAUSE = Duration.ofSeconds(8);

  /** So many paths of full length fit into one request to the sandbox. */
  private static final int PATHS_AT_ONCE = 64;

  private final String session;
  private final Tools tools;
  private final Stores stores;
  private final Ticker ticker;
  private final RandomGenerator random;
  private final List<MemoryStore> mounted = new ArrayList<>();
  private volatile Attachments attachments = Attachments.NONE;
  private @Nullable String sandbox;
  private long lastSync;

  SessionMounts(String session, Tools tools, Stores stores, Ticker ticker, RandomGenerator random) {
    this.session = session;
    this.tools = tools;
    this.stores = stores;
    this.ticker = ticker;
    this.random = random;
  }

  /** Waits a moment before the next try; returns whether there is no use in one. */
  interface Pause {
    boolean take(Duration time) throws InterruptedException;
  }

  /** Says what the session brings along. */
  void attach(Attachments all) {
    attachments = all;
  }

  /** Whether a sandbox needs anything before a call runs in it. */
  boolean isNeeded() {
    return !attachments.isEmpty();
  }

  /** Whether this sandbox still needs it. */
  boolean isDue(Sandbox here) {
    return isNeeded() && !here.id().equals(sandbox);
  }

  /** Whether an absolute path is in a memory store that must not be changed. */
  boolean isReadOnly(String path) {
    return attachments.stores().stream()
        .anyMatch(store -> store.isReadOnly() && (path + "/").startsWith(store.path() + "/"));
  }

  /**
   * Puts everything into a sandbox. A skill, file or repository that can't be had is left out.
   *
   * @return what the model must be told, if anything
   * @throws ProviderException a memory store can't be had
   * @throws MountException a memory store can't be put into the sandbox
   */
  List<String> place(Sandbox here, Pause pause)
      throws ProviderException, MountException, InterruptedException {
    List<String> told = new ArrayList<>();
    mounted.clear();
    boolean isWhole = false;
    try {
      for (Store each : attachments.stores()) {
        MemoryFolder folder = new MemoryFolder(here, each);
        MemoryStore store = new MemoryStore(each, stores.remote(each), folder, ticker);
        patiently(pause, () -> store.mount().ifPresent(kept -> told.add(leftBehind(each, kept))));
        mounted.add(store);
      }
      attachments.refused().forEach(what -> leaveOut(told, what));
      placeRest(here, pause, told);
      isWhole = true;
    } finally {
      if (!isWhole) {
        // The next try is not to take them for what an earlier run left.
        takeOut();
      }
    }
    sandbox = here.id();
    lastSync = ticker.nanos();
    return told;
  }

  private void placeRest(Sandbox here, Pause pause, List<String> told)
      throws MountException, InterruptedException {
    // In the order in which they were uploaded: the sandbox does the rest of all at once.
    Map<String, Deed> deeds = new LinkedHashMap<>();
    for (Skill skill : attachments.skills()) {
      String what = "skill " + skill.id();
      attempt(told, pause, what, () -> deeds.put(what, tools.skills().upload(here, skill)));
    }
    Set<String> absent = absent(here);
    for (MountedFile file : attachments.files()) {
      String what = "file " + file.path();
      if (absent.contains(file.path())) {
        attempt(told, pause, what, () -> deeds.put(what, tools.files().upload(here, file)));
      }
    }
    for (Repository repository : attachments.repositories()) {
      String what = "repository " + repository.url() + " at " + repository.path();
      if (absent.contains(repository.path())) {
        attempt(
            told,
            pause,
            what,
            () -> deeds.put(what, tools.repositories().upload(here, repository)));
      }
    }
    List<Done> done = GuestScript.run(here, List.copyOf(deeds.values()));
    int i = 0;
    for (String what : deeds.keySet()) {
      done.get(i++).error().ifPresent(error -> leaveOut(told, what + ": " + error));
    }
  }

  /** Syncs memory, if the last time is long enough ago. */
  void syncIfDue() throws InterruptedException {
    if (ticker.nanos() - lastSync >= BETWEEN_SYNCS.toNanos()) {
      long until = ticker.nanos() + LONGEST_SYNC.toNanos();
      each(store -> store.sync(false, until));
    }
  }

  /**
   * Syncs memory for the last time, and takes the directories out of the sandbox if all is saved.
   *
   * @param isOurs whether no other worker may serve the session by now
   */
  void end(boolean isOurs, Duration within) throws InterruptedException {
    long until = ticker.nanos() + within.toNanos();
    if (each(isOurs ? store -> store.sync(true, until) : store -> store.flush(until)) && isOurs) {
      takeOut();
    }
    mounted.clear();
    sandbox = null;
  }

  private interface Sync {
    void of(MemoryStore store) throws ProviderException, MountException, InterruptedException;
  }

  private boolean each(Sync sync) throws InterruptedException {
    boolean isWhole = true;
    for (MemoryStore store : mounted) {
      try {
        sync.of(store);
      } catch (ProviderException | MountException | PodflareException e) {
        isWhole = false;
        LOG.log(Level.WARNING, "session {0}: memory is not synced: {1}", session, e.getMessage());
      }
    }
    lastSync = ticker.nanos();
    return isWhole;
  }

  private void takeOut() {
    for (MemoryStore store : mounted) {
      try {
        store.end();
      } catch (MountException | PodflareException stays) {
        LOG.log(Level.WARNING, "session {0}: {1}", session, stays.getMessage());
      }
    }
    mounted.clear();
  }

  private Set<String> absent(Sandbox here) throws MountException {
    List<String> paths = new ArrayList<>();
    attachments.files().forEach(file -> paths.add(file.path()));
    attachments.repositories().forEach(repository -> paths.add(repository.path()));
    Set<String> absent = new HashSet<>();
    List<Deed> deeds = new ArrayList<>();
    for (int from = 0; from < paths.size(); from += PATHS_AT_ONCE) {
      List<String> some = paths.subList(from, Math.min(from + PATHS_AT_ONCE, paths.size()));
      deeds.add(new Deed("absent", Map.of("paths", List.copyOf(some))));
    }
    for (Done done : GuestScript.run(here, deeds)) {
      for (JsonNode path : done.get()) {
        absent.add(path.asString(""));
      }
    }
    return absent;
  }

  private interface Attempt {
    void run() throws ProviderException, MountException, InterruptedException;
  }

  /** Tries again what may go better the next time. */
  private void patiently(Pause pause, Attempt attempt)
      throws ProviderException, MountException, InterruptedException {
    Backoff backoff = new Backoff(FIRST_PAUSE, LONGEST_PAUSE, random);
    for (int tries = 1; ; tries++) {
      try {
        attempt.run();
        return;
      } catch (ProviderException e) {
        if (e.isFinal() || tries == MOST_TRIES || pause.take(backoff.next(e.retryAfter()))) {
          throw e;
        }
      }
    }
  }

  private void attempt(List<String> told, Pause pause, String what, Attempt attempt)
      throws InterruptedException {
    try {
      patiently(pause, attempt);
    } catch (ProviderException | MountException e) {
      leaveOut(told, what + ": " + e.getMessage());
    }
  }

  private static String leftBehind(Store store, String kept) {
    return "files that an earlier run left at "
        + store.path()
        + ", and maybe did not save, are kept in "
        + kept
        + "; copy back what is still wanted";
  }

  private void leaveOut(List<String> told, String what) {
    LOG.log(Level.WARNING, "session {0}: left out: {1}", session, what);
    told.add("this session's " + what + ", so it is not in the sandbox");
  }
}
