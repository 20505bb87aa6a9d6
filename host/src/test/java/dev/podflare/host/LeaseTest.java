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
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** On the host's own leases, beside those of servers that may run: as in real use. */
class LeaseTest {

  @TempDir private Path directory;

  private Path holder(String name) throws Exception {
    return Files.createDirectory(directory.resolve(name));
  }

  private static Path file(Lease lease) {
    return Path.of("/run/podflare/leases", Integer.toString(lease.number()));
  }

  @Test
  void a_number_is_taken_until_it_is_given_back() throws Exception {
    Path first = holder("first");
    Path second = holder("second");
    Lease one = Lease.take(first);
    Lease two = Lease.take(second);
    assertThat(one).isNotEqualTo(two);
    assertThat(file(one)).hasContent(first.toString());
    one.release(first);
    assertThat(file(one))
        .satisfiesAnyOf(
            free -> assertThat(free).doesNotExist(),
            takenByAServer -> assertThat(takenByAServer).content().isNotEqualTo(first.toString()));
    two.release(second);
  }

  @Test
  void a_number_whose_holder_is_gone_is_taken_over() throws Exception {
    Path gone = holder("gone");
    Lease left = Lease.take(gone);
    Files.delete(gone);
    List<Path> holders = new ArrayList<>();
    List<Lease> taken = new ArrayList<>();
    // Another server may give back a lower one meanwhile, and that comes first then.
    for (int i = 0; i < 50 && Files.readString(file(left)).equals(gone.toString()); i++) {
      holders.add(holder("taker-" + i));
      taken.add(Lease.take(holders.getLast()));
    }
    assertThat(file(left)).content().isNotEqualTo(gone.toString());
    for (int i = 0; i < taken.size(); i++) {
      taken.get(i).release(holders.get(i));
    }
  }

  @Test
  void a_number_that_was_taken_over_is_not_given_back_by_its_former_holder() throws Exception {
    Path former = holder("former");
    Path present = holder("present");
    Lease lease = Lease.take(present);
    lease.release(former);
    assertThat(file(lease)).hasContent(present.toString());
    lease.release(present);
  }

  @Test
  void a_number_can_be_given_back_twice() throws Exception {
    Path holder = holder("holder");
    Lease lease = Lease.take(holder);
    lease.release(holder);
    lease.release(holder);
  }

  @Test
  void two_takers_never_get_the_same_number() throws Exception {
    // Each taker lives as a microVM does: its directory goes first, then its lease.
    Set<Integer> inUse = ConcurrentHashMap.newKeySet();
    List<Callable<Void>> takers = new ArrayList<>();
    for (int taker = 0; taker < 8; taker++) {
      String name = "taker-" + taker + "-";
      takers.add(() -> {
        for (int round = 0; round < 40; round++) {
          Path holder = holder(name + round);
          Lease lease = Lease.take(holder);
          assertThat(inUse.add(lease.number())).as("lease %d", lease.number()).isTrue();
          inUse.remove(lease.number());
          Files.delete(holder);
          lease.release(holder);
        }
        return null;
      });
    }
    runAll(takers);
    assertThat(inUse).isEmpty();
  }

  @Test
  void numbers_whose_holders_are_gone_are_taken_over_once_each() throws Exception {
    for (int round = 0; round < 10; round++) {
      for (int dead = 0; dead < 4; dead++) {
        Path holder = holder("dead-" + round + "-" + dead);
        Lease.take(holder);
        Files.delete(holder);
      }
      List<Path> holders = new ArrayList<>();
      List<Callable<Lease>> takers = new ArrayList<>();
      for (int taker = 0; taker < 8; taker++) {
        Path holder = holder("heir-" + round + "-" + taker);
        holders.add(holder);
        takers.add(() -> Lease.take(holder));
      }
      List<Lease> taken = runAll(takers);
      assertThat(taken).doesNotHaveDuplicates();
      for (int i = 0; i < taken.size(); i++) {
        taken.get(i).release(holders.get(i));
      }
    }
  }

  private static <T> List<T> runAll(List<Callable<T>> tasks) throws Exception {
    try (ExecutorService threads = Executors.newFixedThreadPool(tasks.size())) {
      List<T> results = new ArrayList<>();
      for (Future<T> result : threads.invokeAll(tasks, 150, TimeUnit.SECONDS)) {
        results.add(result.get());
      }
      return results;
    }
  }

  @Test
  void no_number_is_outside_of_its_range() {
    assertThatThrownBy(() -> new Lease(-1)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new Lease(Lease.MOST)).isInstanceOf(IllegalArgumentException.class);
    assertThat(new Lease(0).userId()).isPositive();
    assertThat(new Lease(Lease.MOST - 1).userId()).isGreaterThan(new Lease(0).userId());
  }
}
