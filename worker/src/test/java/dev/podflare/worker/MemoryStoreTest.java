package dev.podflare.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

class MemoryStoreTest {
  private final Provided provided = new Provided();
  private final Directory directory = new Directory();
  private long now;

  /** The provider's side: it checks hashes as the API does. */
  private static final class Provided implements MemoryStore.Remote {
    final Map<String, String> contents = new TreeMap<>();
    final List<String> changes = new ArrayList<>();
    int refusal;
    boolean isSilent;

    @Override
    public Map<String, Memory> list() {
      Map<String, Memory> all = new HashMap<>();
      contents.forEach((path, text) -> all.put(path, new Memory("mem_1", path, Memory.hash(text))));
      return all;
    }

    @Override
    public void read(MemoryStore.Reader reader) throws ProviderException, MountException {
      reader.take(Map.copyOf(contents));
      if (isSilent) {
        throw ProviderException.unreachable("it broke off", null);
      }
    }

    @Override
    public String content(Memory memory) throws ProviderException {
      String content = contents.get(memory.path());
      if (content == null) {
        throw ProviderException.answered(404, "gone", null);
      }
      return content;
    }

    @Override
    public void create(String path, String content) throws ProviderException {
      change("create " + path, path, content);
    }

    @Override
    public void update(Memory memory, String content) throws ProviderException {
      check(memory);
      change("update " + memory.path(), memory.path(), content);
    }

    @Override
    public void delete(Memory memory) throws ProviderException {
      check(memory);
      changes.add("delete " + memory.path());
      contents.remove(memory.path());
    }

    private void check(Memory memory) throws ProviderException {
      String content = contents.get(memory.path());
      if (content == null || !Memory.hash(content).equals(memory.hash())) {
        throw ProviderException.answered(content == null ? 404 : 409, "not so", null);
      }
    }

    private void change(String what, String path, String content) throws ProviderException {
      if (refusal != 0) {
        throw ProviderException.answered(refusal, "refused", null);
      }
      changes.add(what);
      contents.put(path, content);
      if (isSilent) {
        throw ProviderException.unreachable("no answer", null);
      }
    }
  }

  /** The sandbox's side. */
  private static final class Directory implements MemoryStore.Folder {
    final Map<String, byte[]> files = new TreeMap<>();
    final Map<String, String> staged = new HashMap<>();
    final Set<String> unwritable = new HashSet<>();
    boolean isGone;
    boolean isEnded;

    void write(String path, String text) {
      files.put(path, text.getBytes(StandardCharsets.UTF_8));
    }

    String text(String path) {
      return new String(files.get(path), StandardCharsets.UTF_8);
    }

    @Override
    public void stage(Map<String, String> contents) {
      staged.putAll(contents);
    }

    @Override
    public MemoryStore.Filled fill() {
      isGone = false;
      files.clear();
      return new MemoryStore.Filled(Optional.empty(), put());
    }

    @Override
    public Set<String> put() {
      staged.forEach((path, text) -> {
        if (!unwritable.contains(path)) {
          write(path, text);
        }
      });
      staged.clear();
      return unwritable;
    }

    @Override
    public Optional<Map<String, String>> scan() {
      Map<String, String> hashes = new HashMap<>();
      files.forEach((path, bytes) -> hashes.put(path, Memory.hash(bytes)));
      return isGone ? Optional.empty() : Optional.of(hashes);
    }

    @Override
    public byte[] read(String path) {
      return files.get(path);
    }

    @Override
    public void remove(Map<String, String> hashes) {
      hashes.forEach((path, hash) -> {
        assertThat(Memory.hash(files.get(path))).isEqualTo(hash);
        files.remove(path);
      });
    }

    @Override
    public void end() {
      isEnded = true;
    }
  }

  private MemoryStore mounted(boolean isReadOnly) throws Exception {
    provided.contents.putAll(Map.of("a", "one", "b/c", "two", "d", "three"));
    MemoryStore store =
        new MemoryStore(
            new Attachments.Store("memstore_1", "/mnt/memory/m", isReadOnly),
            provided,
            directory,
            () -> now);
    assertThat(store.mount()).isEmpty();
    assertThat(directory.files.keySet()).containsExactly("a", "b/c", "d");
    return store;
  }

  private void sync(MemoryStore store) throws Exception {
    store.sync(false, now + 1);
  }

  @Test
  void changes_go_both_ways() throws Exception {
    MemoryStore store = mounted(false);
    directory.write("a", "one more");
    directory.write("new", "new");
    provided.contents.put("b/c", "two more");
    provided.contents.remove("d");
    provided.contents.put("e", "five");
    sync(store);
    assertThat(provided.changes).containsExactly("update a", "create new");
    assertThat(directory.files.keySet()).containsExactly("a", "b/c", "e", "new");
    assertThat(directory.text("b/c")).isEqualTo("two more");
    sync(store);
    assertThat(provided.changes).hasSize(2);
  }

  @Test
  void the_providers_version_wins_a_conflict() throws Exception {
    MemoryStore store = mounted(false);
    directory.write("a", "mine");
    provided.contents.put("a", "theirs");
    directory.files.remove("b/c");
    provided.contents.put("b/c", "theirs too");
    sync(store);
    assertThat(provided.changes).isEmpty();
    assertThat(directory.text("a")).isEqualTo("theirs");
    assertThat(directory.text("b/c")).isEqualTo("theirs too");
  }

  @Test
  void an_edit_of_what_was_deleted_at_the_provider_is_the_only_copy_and_kept() throws Exception {
    MemoryStore store = mounted(false);
    directory.write("a", "edited");
    provided.contents.remove("a");
    sync(store);
    assertThat(provided.contents).containsEntry("a", "edited");
  }

  @Test
  void a_file_is_deleted_at_the_provider_only_if_it_stays_away() throws Exception {
    MemoryStore store = mounted(false);
    byte[] gone = directory.files.remove("a");
    sync(store);
    now += Duration.ofSeconds(29).toNanos();
    sync(store);
    directory.files.put("a", gone);
    sync(store);
    directory.files.remove("a");
    now += Duration.ofSeconds(29).toNanos();
    sync(store);
    assertThat(provided.changes).isEmpty();
    now += Duration.ofSeconds(30).toNanos();
    sync(store);
    assertThat(provided.changes).containsExactly("delete a");
    directory.files.remove("d");
    store.sync(true, now + 1);
    assertThat(provided.changes).containsExactly("delete a", "delete d");
  }

  @Test
  void files_that_are_all_gone_at_once_come_back() throws Exception {
    MemoryStore store = mounted(false);
    directory.files.clear();
    store.sync(true, now + 1);
    assertThat(directory.files).hasSize(3);
    directory.files.clear();
    directory.isGone = true;
    store.sync(true, now + 1);
    assertThat(directory.files).hasSize(3);
    assertThat(provided.changes).isEmpty();
  }

  @Test
  void only_so_many_are_deleted_at_once() throws Exception {
    for (int i = 0; i < 20; i++) {
      provided.contents.put("x" + i, "x" + i);
    }
    MemoryStore store =
        new MemoryStore(
            new Attachments.Store("memstore_1", "/mnt/memory/m", false),
            provided,
            directory,
            () -> now);
    store.mount();
    for (int i = 0; i < 19; i++) {
      directory.files.remove("x" + i);
    }
    store.sync(true, now + 1);
    assertThat(provided.changes).hasSize(8);
  }

  @Test
  void a_read_only_store_is_restored_and_never_sent() throws Exception {
    MemoryStore store = mounted(true);
    directory.write("a", "changed by the shell");
    directory.files.remove("b/c");
    directory.write("new", "new");
    store.sync(true, now + 1);
    assertThat(provided.changes).isEmpty();
    assertThat(directory.text("a")).isEqualTo("one");
    assertThat(directory.text("b/c")).isEqualTo("two");
  }

  @Test
  void what_is_too_large_or_no_text_or_refused_waits_until_it_changes() throws Exception {
    MemoryStore store = mounted(false);
    directory.write("large", "x".repeat(Memory.LARGEST + 1));
    directory.files.put("binary", new byte[] {(byte) 0xFF});
    sync(store);
    provided.refusal = 400;
    directory.write("bad", "bad");
    sync(store);
    provided.refusal = 0;
    sync(store);
    assertThat(provided.changes).isEmpty();
    directory.write("bad", "better");
    sync(store);
    assertThat(provided.changes).containsExactly("create bad");
  }

  @Test
  void an_upload_whose_answer_was_lost_is_not_taken_for_another_writers() throws Exception {
    MemoryStore store = mounted(false);
    directory.write("a", "first");
    provided.isSilent = true;
    assertThatThrownBy(() -> sync(store)).isInstanceOf(ProviderException.class);
    provided.isSilent = false;
    directory.write("a", "second");
    sync(store);
    assertThat(provided.contents).containsEntry("a", "second");
  }

  @Test
  void what_the_sandbox_will_not_take_is_left_out_and_not_deleted() throws Exception {
    directory.unwritable.add("a");
    provided.contents.put("a", "one");
    MemoryStore store =
        new MemoryStore(
            new Attachments.Store("memstore_1", "/mnt/memory/m", false),
            provided,
            directory,
            () -> now);
    store.mount();
    store.sync(true, now + 1);
    assertThat(provided.changes).isEmpty();
    assertThat(provided.contents).containsKey("a");
  }

  @Test
  void a_download_that_breaks_off_leaves_nothing_that_looks_like_the_agents_work()
      throws Exception {
    MemoryStore store = mounted(false);
    provided.isSilent = true;
    assertThatThrownBy(store::mount).isInstanceOf(ProviderException.class);
    assertThat(directory.isEnded).isTrue();
  }

  @Test
  void a_flush_only_sends_what_is_new_here() throws Exception {
    MemoryStore store = mounted(false);
    directory.write("a", "edited");
    directory.write("new", "new");
    directory.write("d", "mine");
    provided.contents.put("d", "theirs");
    provided.contents.put("e", "five");
    directory.files.remove("b/c");
    store.flush(now + 1);
    assertThat(provided.changes).containsExactlyInAnyOrder("update a", "create new");
    assertThat(directory.text("d")).isEqualTo("mine");
    assertThat(directory.files).doesNotContainKeys("e", "b/c");
  }

  @Test
  void a_sync_ends_when_its_time_is_up() throws Exception {
    MemoryStore store = mounted(false);
    assertThatThrownBy(() -> store.sync(true, now - 1))
        .isInstanceOf(MountException.class)
        .hasMessageContaining("not enough time");
  }
}
