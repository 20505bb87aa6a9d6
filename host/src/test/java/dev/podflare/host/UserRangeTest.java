package dev.podflare.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** On the host's own blocks, beside those of servers that may run: as in real use. */
class UserRangeTest {

  @TempDir private Path directory;
  private final List<Path> holders = new ArrayList<>();
  private final Set<UserRange> taken = ConcurrentHashMap.newKeySet();

  private synchronized Path holder(String name) throws Exception {
    holders.add(Files.createDirectory(directory.resolve(name)));
    return holders.getLast();
  }

  private UserRange take(Path holder) throws HostException {
    UserRange range = UserRange.take(holder);
    taken.add(range);
    return range;
  }

  @AfterEach
  void releaseAll() throws Exception {
    for (UserRange range : taken) {
      for (Path holder : holders) {
        range.release(holder);
      }
    }
  }

  private static Path file(UserRange range) {
    return Path.of("/run/podflare/users", Integer.toString(range.block()));
  }

  private static List<String> lines(UserRange range) throws Exception {
    return Files.exists(file(range)) ? Files.readAllLines(file(range)) : List.of();
  }

  @Test
  void blocks_do_not_meet_and_their_ids_are_valid() {
    UserRange last = new UserRange(UserRange.MOST - 1);
    assertThat(new UserRange(0).first()).isGreaterThan(new Lease(Lease.MOST - 1).userId());
    assertThat(new UserRange(1).first())
        .isEqualTo(new UserRange(0).first() + new UserRange(0).count());
    assertThat((long) last.first() + last.count()).isLessThan(Integer.MAX_VALUE);
    assertThatThrownBy(() -> new UserRange(-1)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new UserRange(UserRange.MOST))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void two_holders_have_two_blocks_and_each_finds_its_own_again() throws Exception {
    Path first = holder("first");
    Path second = holder("second");
    UserRange one = take(first);
    UserRange two = take(second);
    assertThat(one).isNotEqualTo(two);
    assertThat(take(first)).isEqualTo(one);
    assertThat(lines(one)).containsExactly(first.toString());
  }

  @Test
  void a_block_whose_holders_are_gone_is_taken_over() throws Exception {
    Path gone = holder("gone");
    UserRange left = take(gone);
    Files.delete(gone);
    // Another server may give back a lower one meanwhile, and that comes first then.
    for (int i = 0; i < 50 && lines(left).contains(gone.toString()); i++) {
      take(holder("taker-" + i));
    }
    assertThat(lines(left)).hasSize(1).doesNotContain(gone.toString());
  }

  @Test
  void what_a_process_left_that_was_killed_while_it_wrote_harms_nobody() throws Exception {
    Path holder = holder("holder");
    UserRange range = take(holder);
    Path aside = file(range).resolveSibling("new");
    Files.writeString(aside, "/half/of/a/na");
    assertThat(take(holder)).isEqualTo(range);
    assertThat(lines(range)).containsExactly(holder.toString());
    range.release(holder);
    assertThat(lines(range)).doesNotContain(holder.toString());
  }

  @Test
  void takers_at_the_same_time_never_share_a_block() throws Exception {
    List<Callable<UserRange>> takers = new ArrayList<>();
    for (int i = 0; i < 8; i++) {
      Path holder = holder("taker-" + i);
      takers.add(() -> take(holder));
    }
    try (var threads = Executors.newFixedThreadPool(8)) {
      List<UserRange> ranges = new ArrayList<>();
      for (var range : threads.invokeAll(takers, 150, TimeUnit.SECONDS)) {
        ranges.add(range.get());
      }
      assertThat(ranges).doesNotHaveDuplicates();
    }
  }

  @Test
  void a_name_with_a_lines_end_would_be_two() {
    assertThatThrownBy(() -> UserRange.take(directory.resolve("a\nb")))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void a_process_under_one_of_its_users_is_known() throws Exception {
    UserRange range = new UserRange(UserRange.MOST - 1);
    String become =
        """
        import os, sys
        os.setresuid(%d, %d, %d)
        print("there", flush=True)
        sys.stdin.read()
        """;
    int last = range.first() + range.count() - 1;
    for (String code :
        List.of(
            become.formatted(last, last, last),
            // It could take the user again.
            become.formatted(0, 0, range.first()))) {
      Process process = new ProcessBuilder("python3", "-c", code).start();
      try {
        assertThat(process.inputReader().readLine()).isEqualTo("there");
        assertThat(range.contains(process.pid())).isTrue();
        assertThat(new UserRange(UserRange.MOST - 2).contains(process.pid())).isFalse();
      } finally {
        process.destroyForcibly();
      }
    }
    assertThat(range.contains(ProcessHandle.current().pid())).isFalse();
    assertThat(range.contains(Integer.MAX_VALUE)).isFalse();
  }
}
