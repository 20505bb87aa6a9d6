package dev.podflare.worker;

import dev.podflare.worker.Provider.Call;
import java.time.Duration;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Pattern;
import tools.jackson.databind.JsonNode;

/** A memory store of the provider's API. */
final class RemoteStore implements MemoryStore.Remote {
  /** The API's own preview for memory, sent in place of that of environments. */
  static final String PREVIEW = "agent-memory-2026-07-22";

  private static final Duration PATIENCE = Duration.ofSeconds(10);

  /** Documented: the largest pages of the two views. */
  private static final int PAGE = 100;

  private static final int FULL_PAGE = 20;

  /** Documented: what a store may have. */
  private static final int MOST_MEMORIES = 2000;

  private static final Pattern HASH = Pattern.compile("[0-9a-f]{64}");

  private final Provider provider;
  private final String credential;
  private final String path;

  RemoteStore(Provider provider, String credential, String id) {
    this.provider = provider;
    this.credential = credential;
    this.path = "/v1/memory_stores/" + id + "/memories";
  }

  @Override
  public Map<String, Memory> list() throws ProviderException, InterruptedException {
    Map<String, Memory> all = new HashMap<>();
    eachPage(
        "basic",
        PAGE,
        page -> {
          for (JsonNode listed : page) {
            if (isMemory(listed)) {
              Memory memory = memory(listed);
              all.put(memory.path(), memory);
              checkCount(all.size());
            }
          }
        });
    return all;
  }

  @Override
  public void read(MemoryStore.Reader reader)
      throws ProviderException, MountException, InterruptedException {
    int count = 0;
    String cursor = "";
    do {
      JsonNode listed = page("full", FULL_PAGE, cursor);
      Map<String, String> contents = new LinkedHashMap<>();
      for (JsonNode each : listed.path("data")) {
        if (isMemory(each)) {
          contents.put(memory(each).path(), content(each));
        }
      }
      checkCount(count += contents.size());
      reader.take(contents);
      cursor = listed.path("next_page").asString("");
    } while (!cursor.isEmpty());
  }

  @Override
  public String content(Memory memory) throws ProviderException, InterruptedException {
    return content(send(Call.get(path + "/" + memory.id()).with("view", "full")));
  }

  @Override
  public void create(String relative, String content)
      throws ProviderException, InterruptedException {
    send(Call.post(path, Map.of("path", "/" + relative, "content", content)));
  }

  @Override
  public void update(Memory memory, String content) throws ProviderException, InterruptedException {
    Map<String, String> precondition =
        Map.of("type", "content_sha256", "content_sha256", memory.hash());
    send(
        Call.post(
            path + "/" + memory.id(), Map.of("content", content, "precondition", precondition)));
  }

  @Override
  public void delete(Memory memory) throws ProviderException, InterruptedException {
    send(Call.delete(path + "/" + memory.id()).with("expected_content_sha256", memory.hash()));
  }

  private interface Pages {
    void take(JsonNode page) throws ProviderException;
  }

  private void eachPage(String view, int limit, Pages pages)
      throws ProviderException, InterruptedException {
    String cursor = "";
    int most = MOST_MEMORIES;
    do {
      JsonNode listed = page(view, limit, cursor);
      pages.take(listed.path("data"));
      cursor = listed.path("next_page").asString("");
      checkCount(MOST_MEMORIES - --most);
    } while (!cursor.isEmpty());
  }

  private JsonNode page(String view, int limit, String cursor)
      throws ProviderException, InterruptedException {
    Call call = Call.get(path).with("view", view).with("limit", String.valueOf(limit));
    return send(cursor.isEmpty() ? call : call.with("page", cursor));
  }

  private JsonNode send(Call call) throws ProviderException, InterruptedException {
    return provider.json(credential, call.preview(PREVIEW), PATIENCE);
  }

  private static boolean isMemory(JsonNode listed) {
    return listed.path("type").asString("").equals("memory")
        && !listed.path("path").asString("").equals("/" + MemoryFolder.MARKER);
  }

  private static Memory memory(JsonNode node) throws ProviderException {
    String listed = node.path("path").asString("");
    String hash = node.path("content_sha256").asString("");
    if (!Attachments.isPath(listed) || !HASH.matcher(hash).matches()) {
      throw ProviderException.malformed(
          "the provider listed a memory without a usable path or hash: " + Json.said(listed), null);
    }
    return new Memory(Json.id(node, "id"), listed.substring(1), hash);
  }

  private static String content(JsonNode node) throws ProviderException {
    String content = node.path("content").asString("");
    String expected = node.path("content_sha256").asString("");
    if (content.length() > Memory.LARGEST || !Memory.hash(content).equals(expected)) {
      throw ProviderException.malformed(
          "the provider sent a memory that does not fit its hash, or is too large: "
              + Json.said(node.path("path").asString("")),
          null);
    }
    return content;
  }

  private static void checkCount(int count) throws ProviderException {
    if (count > MOST_MEMORIES) {
      throw ProviderException.malformed(
          "a memory store has more than the " + MOST_MEMORIES + " memories that it may have", null);
    }
  }
}
