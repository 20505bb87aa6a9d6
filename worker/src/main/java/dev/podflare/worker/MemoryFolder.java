package dev.podflare.worker;

import dev.podflare.sdk.Sandbox;
import dev.podflare.worker.GuestScript.Deed;
import dev.podflare.worker.GuestScript.Done;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import tools.jackson.databind.JsonNode;

/** The directory of a memory store in a sandbox. What it says of itself is the agent's word. */
final class MemoryFolder implements MemoryStore.Folder {
  /** A file that shows whose directory it is. It is never synced. */
  static final String MARKER = ".podflare-memory-store";

  /** Where what an earlier run left is kept. */
  private static final String ASIDE = "/root/unsaved-memory";

  private static final int MOST_FILES = 4096;
  private static final Pattern HASH = Pattern.compile("[0-9a-f]{64}");

  private final Sandbox sandbox;
  private final Attachments.Store store;

  /** Files in the sandbox with contents that are not yet in their places. */
  private final List<String> staged = new ArrayList<>();

  MemoryFolder(Sandbox sandbox, Attachments.Store store) {
    this.sandbox = sandbox;
    this.store = store;
  }

  @Override
  public void stage(Map<String, String> contents) {
    if (!contents.isEmpty()) {
      String source = GuestScript.part();
      sandbox.files().write(source, Json.MAPPER.writeValueAsBytes(contents), "0600");
      staged.add(source);
    }
  }

  @Override
  public MemoryStore.Filled fill() throws MountException {
    List<Deed> deeds = new ArrayList<>();
    deeds.add(deed("store_make", Map.of("marker", marker(), "aside", ASIDE)));
    deeds.add(deed("store_put", Map.of("sources", List.copyOf(staged))));
    if (store.isReadOnly()) {
      deeds.add(deed("store_lock", Map.of()));
    }
    staged.clear();
    List<JsonNode> results = new ArrayList<>();
    for (Done done : GuestScript.run(sandbox, deeds)) {
      results.add(done.get());
    }
    JsonNode kept = results.getFirst();
    return new MemoryStore.Filled(
        kept.isString() ? Optional.of(Json.said(kept.asString())) : Optional.empty(),
        texts(results.get(1)));
  }

  @Override
  public Set<String> put() throws MountException {
    if (staged.isEmpty()) {
      return Set.of();
    }
    List<String> sources = List.copyOf(staged);
    staged.clear();
    return texts(run("store_put", Map.of("sources", sources)));
  }

  private static Set<String> texts(JsonNode list) {
    Set<String> texts = new HashSet<>();
    for (JsonNode each : list) {
      texts.add(each.asString(""));
    }
    return texts;
  }

  @Override
  public Optional<Map<String, String>> scan() throws MountException {
    JsonNode scanned = run("store_scan", Map.of());
    Map<String, String> files = new HashMap<>();
    for (Map.Entry<String, JsonNode> file : scanned.path("files").properties()) {
      String hash = file.getValue().asString("");
      if (files.size() == MOST_FILES || !HASH.matcher(hash).matches()) {
        throw new MountException("the sandbox's python3 does not answer as it should");
      }
      if (Attachments.isRelativePath(file.getKey())) {
        files.put(file.getKey(), hash);
      }
    }
    boolean isOurs = scanned.path("marker").asString("").equals(marker());
    if (!isOurs && !files.isEmpty()) {
      throw new MountException(
          store.path() + " is no longer the memory store's, so nothing of it is synced");
    }
    return isOurs ? Optional.of(files) : Optional.empty();
  }

  @Override
  public byte[] read(String path) {
    return sandbox.files().read(store.path() + "/" + path, Memory.LARGEST + 1);
  }

  @Override
  public void remove(Map<String, String> hashes) throws MountException {
    List<Deed> deeds = new ArrayList<>();
    hashes.forEach(
        (path, hash) -> deeds.add(deed("store_remove", Map.of("hashes", Map.of(path, hash)))));
    for (Done done : GuestScript.run(sandbox, deeds)) {
      done.get();
    }
  }

  @Override
  public void end() throws MountException {
    run("store_end", Map.of());
  }

  private String marker() {
    return "version 1\n" + store.id();
  }

  private JsonNode run(String name, Map<String, ?> arguments) throws MountException {
    return GuestScript.run(sandbox, deed(name, arguments));
  }

  private Deed deed(String name, Map<String, ?> arguments) {
    Map<String, Object> all = new HashMap<>(arguments);
    all.put("root", store.path());
    return new Deed(name, all);
  }
}
