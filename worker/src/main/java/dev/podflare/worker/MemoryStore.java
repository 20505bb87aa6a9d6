package dev.podflare.worker;

import dev.podflare.sdk.NotFoundException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * A memory store of a session, kept the same in the sandbox and at the provider. The provider's
 * copy wins a conflict: every change is sent with the hash that it replaces. Not for several
 * threads.
 */
final class MemoryStore {
  /** The store at the provider. */
  interface Remote {
    /** All memories, by path. */
    Map<String, Memory> list() throws ProviderException, InterruptedException;

    /** All contents, by path, a page at a time. */
    void read(Reader reader) throws ProviderException, MountException, InterruptedException;

    String content(Memory memory) throws ProviderException, InterruptedException;

    void create(String path, String content) throws ProviderException, InterruptedException;

    /** Replaces the content, if it is still that of {@code memory}; else a 409. */
    void update(Memory memory, String content) throws ProviderException, InterruptedException;

    /** Deletes it, if it is still the same; else a 409. */
    void delete(Memory memory) throws ProviderException, InterruptedException;
  }

  /** Takes contents by path. */
  interface Reader {
    void take(Map<String, String> contents) throws MountException;
  }

  /** The store's directory in the sandbox. */
  interface Folder {
    /** Takes contents to the sandbox, but not to their places. */
    void stage(Map<String, String> contents) throws MountException;

    /** Creates the directory, with what is staged; read-only if the store is. */
    Filled fill() throws MountException;

    /** Writes what is staged; returns the paths of those that can't be. */
    Set<String> put() throws MountException;

    /** The hashes of its files, by path; nothing if it is gone. */
    Optional<Map<String, String>> scan() throws MountException;

    /** A file's first bytes, one more than a memory may have. */
    byte[] read(String path);

    /** Removes files that still have the contents of these hashes. */
    void remove(Map<String, String> hashes) throws MountException;

    void end() throws MountException;
  }

  /**
   * What came of creating a directory.
   *
   * @param kept where something that stood there was moved to
   * @param failed the paths of what can't be written
   */
  record Filled(Optional<String> kept, Set<String> failed) {
    Filled {
      failed = Set.copyOf(failed);
    }
  }

  private static final Logger LOG = System.getLogger(MemoryStore.class.getPackageName());

  /** Documented: a file must be missing for so long before its memory is deleted. */
  private static final Duration BEFORE_A_DELETE = Duration.ofSeconds(30);

  /** Documented: how many memories one sync deletes, a quarter of all within these bounds. */
  private static final int FEWEST_DELETES = 8;

  private static final int MOST_DELETES = 50;

  /** So many contents are held at once. */
  private static final int PULLS_AT_ONCE = 20;

  private final String id;
  private final boolean isReadOnly;
  private final Remote remote;
  private final Folder folder;
  private final Ticker ticker;

  /** What both sides had when they were last the same. */
  private final Map<String, String> common = new HashMap<>();

  /** What the provider will not take; tried again when it has changed. */
  private final Map<String, String> refused = new HashMap<>();

  /** What was sent without an answer. */
  private final Map<String, String> unsettled = new HashMap<>();

  /** What the sandbox's file system will not take, such as a file where a directory is. */
  private final Map<String, String> unwritable = new HashMap<>();

  /** Since when a file is missing. */
  private final Map<String, Long> missing = new HashMap<>();

  MemoryStore(Attachments.Store store, Remote remote, Folder folder, Ticker ticker) {
    this.id = store.id();
    this.isReadOnly = store.isReadOnly();
    this.remote = remote;
    this.folder = folder;
    this.ticker = ticker;
  }

  /** Downloads it; returns where files of an earlier run that were not saved are kept. */
  Optional<String> mount() throws ProviderException, MountException, InterruptedException {
    common.clear();
    unsettled.clear();
    missing.clear();
    unwritable.clear();
    boolean isWhole = false;
    try {
      Map<String, String> hashes = new HashMap<>();
      remote.read(contents -> {
        folder.stage(contents);
        contents.forEach((path, content) -> hashes.put(path, Memory.hash(content)));
      });
      Filled filled = folder.fill();
      note(hashes, filled.failed());
      isWhole = true;
      LOG.log(Level.INFO, "memory store {0}: {1} memories", id, common.size());
      return filled.kept();
    } finally {
      if (!isWhole) {
        folder.end();
      }
    }
  }

  /**
   * Brings both sides to the same state.
   *
   * @param isLast whether no other sync follows, so that a delete can't wait to be confirmed
   * @param until when to stop, by the ticker
   */
  void sync(boolean isLast, long until)
      throws ProviderException, MountException, InterruptedException {
    Optional<Map<String, String>> scanned = folder.scan();
    Map<String, Memory> listed = remote.list();
    settle(listed);
    if (scanned.isEmpty() || (scanned.get().isEmpty() && common.size() > 1)) {
      // One file that is gone was deleted; all at once are an accident, and come back.
      LOG.log(Level.WARNING, "memory store {0}: its files are gone; they are restored", id);
      mount();
      return;
    }
    Map<String, String> local = scanned.get();
    Map<String, Memory> pulls = new HashMap<>();
    Map<String, String> removals = new HashMap<>();
    int deletes = Math.clamp(common.size() / 4, FEWEST_DELETES, MOST_DELETES);
    Set<String> paths = new TreeSet<>(local.keySet());
    paths.addAll(listed.keySet());
    paths.addAll(common.keySet());
    for (String path : paths) {
      checkTime(until);
      String here = local.get(path);
      Memory there = listed.get(path);
      String before = common.get(path);
      if (here != null) {
        missing.remove(path);
      }
      if (there == null) {
        gone(path, here, before, removals);
      } else if (there.hash().equals(here)) {
        common.put(path, here);
      } else if (isReadOnly || !there.hash().equals(before)) {
        if (!isReadOnly && here != null && !here.equals(before)) {
          warn(path, "changed on both sides; the provider's version is kept");
        }
        if (!there.hash().equals(unwritable.get(path))) {
          pulls.put(path, there);
        }
      } else if (here != null) {
        push(path, here, there);
      } else if (deletes > 0 && isDeletable(path, isLast)) {
        deletes--;
        delete(path, there);
      }
    }
    folder.remove(removals);
    common.keySet().removeAll(removals.keySet());
    pull(List.copyOf(pulls.values()), until);
  }

  /**
   * Sends what was changed here, and does nothing else: another worker may have mounted the store
   * in this sandbox by now.
   */
  void flush(long until) throws ProviderException, MountException, InterruptedException {
    Map<String, String> local = folder.scan().orElse(Map.of());
    if (isReadOnly || local.isEmpty()) {
      return;
    }
    Map<String, Memory> listed = remote.list();
    settle(listed);
    for (Map.Entry<String, String> file : local.entrySet()) {
      checkTime(until);
      Memory there = listed.get(file.getKey());
      String before = common.get(file.getKey());
      boolean isNew =
          !file.getValue().equals(before)
              && (there == null || !there.hash().equals(file.getValue()));
      if (isNew && (there == null || there.hash().equals(before))) {
        push(file.getKey(), file.getValue(), there);
      }
    }
  }

  /** What was sent without an answer, and is there, did arrive. */
  private void settle(Map<String, Memory> listed) {
    unsettled.forEach((path, hash) -> {
      Memory memory = listed.get(path);
      if (memory != null && memory.hash().equals(hash)) {
        common.put(path, hash);
      }
    });
    unsettled.clear();
  }

  /** Removes the directory from the sandbox. */
  void end() throws MountException {
    folder.end();
  }

  /** The provider does not have it, or no more. */
  private void gone(
      String path, @Nullable String here, @Nullable String before, Map<String, String> removals)
      throws ProviderException, MountException, InterruptedException {
    if (here == null) {
      common.remove(path);
      missing.remove(path);
    } else if (here.equals(before)) {
      removals.put(path, here);
    } else if (!isReadOnly) {
      // It is the only copy: new, or edited while it was deleted at the provider.
      push(path, here, null);
    }
  }

  private void push(String path, String hash, @Nullable Memory there)
      throws ProviderException, InterruptedException {
    if (hash.equals(refused.get(path))) {
      return;
    }
    String content;
    byte[] bytes;
    try {
      bytes = folder.read(path);
      content = text(bytes);
    } catch (NotFoundException vanished) {
      return; // The next sync sees what became of it.
    } catch (MountException unfit) {
      refused.put(path, hash);
      warn(path, String.valueOf(unfit.getMessage()));
      return;
    }
    String sent = Memory.hash(bytes);
    unsettled.put(path, sent);
    try {
      if (there == null) {
        remote.create(path, content);
      } else {
        remote.update(there, content);
      }
    } catch (ProviderException e) {
      refusedOrThrown(path, hash, e);
      return;
    }
    unsettled.remove(path);
    refused.remove(path);
    common.put(path, sent);
  }

  private void refusedOrThrown(String path, String hash, ProviderException e)
      throws ProviderException {
    switch (e.status()) {
      case 409 -> warn(path, "changed at the provider meanwhile; its version is kept");
      case 404 -> warn(path, "deleted at the provider meanwhile; the next sync creates it again");
      case 400, 413, 422 -> {
        unsettled.remove(path);
        refused.put(path, hash);
        warn(path, "not saved until it changes: " + e.getMessage());
      }
      default -> throw e;
    }
  }

  private static String text(byte[] bytes) throws MountException {
    if (bytes.length > Memory.LARGEST) {
      throw new MountException(
          "not saved, since it has more than the "
              + Memory.LARGEST
              + " bytes that a memory may have");
    }
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
    } catch (CharacterCodingException binary) {
      throw new MountException("not saved, since it is not text in UTF-8", binary);
    }
  }

  private boolean isDeletable(String path, boolean isLast) {
    Long since = missing.putIfAbsent(path, ticker.nanos());
    return isLast || (since != null && ticker.nanos() - since >= BEFORE_A_DELETE.toNanos());
  }

  private void delete(String path, Memory there) throws ProviderException, InterruptedException {
    try {
      remote.delete(there);
      LOG.log(Level.INFO, "memory store {0}: deleted {1}", id, Json.said(path));
    } catch (ProviderException e) {
      if (e.status() == 409 || e.status() == 412) {
        warn(path, "deleted here, but changed at the provider; its version is kept");
        return;
      } else if (e.status() != 404) {
        throw e;
      }
    }
    common.remove(path);
    missing.remove(path);
  }

  private void pull(List<Memory> pulls, long until)
      throws ProviderException, MountException, InterruptedException {
    for (int from = 0; from < pulls.size(); from += PULLS_AT_ONCE) {
      checkTime(until);
      Map<String, String> contents = new HashMap<>();
      for (Memory there : pulls.subList(from, Math.min(from + PULLS_AT_ONCE, pulls.size()))) {
        try {
          contents.put(there.path(), remote.content(there));
        } catch (ProviderException e) {
          if (e.status() != 404) { // Deleted meanwhile: the next sync sees it.
            throw e;
          }
        }
      }
      folder.stage(contents);
      Set<String> failed = folder.put();
      Map<String, String> hashes = new HashMap<>();
      contents.forEach((path, content) -> hashes.put(path, Memory.hash(content)));
      note(hashes, failed);
    }
  }

  /** Remembers what was written, and what could not be. */
  private void note(Map<String, String> hashes, Set<String> failed) {
    hashes.forEach((path, hash) -> {
      if (failed.contains(path)) {
        unwritable.put(path, hash);
        warn(path, "it can't be a file in the sandbox, so it is left out");
      } else {
        common.put(path, hash);
      }
    });
  }

  private void checkTime(long until) throws MountException {
    if (ticker.nanos() - until > 0) {
      throw new MountException("there was not enough time to sync all of memory store " + id);
    }
  }

  private void warn(String path, String what) {
    LOG.log(Level.WARNING, "memory store {0}: {1}: {2}", id, Json.said(path), what);
  }
}
