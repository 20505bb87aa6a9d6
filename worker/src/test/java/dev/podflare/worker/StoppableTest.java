package dev.podflare.worker;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
class StoppableTest {
  private final Stoppable stoppable = new Stoppable();

  @Test
  void what_waits_is_interrupted() throws Exception {
    CountDownLatch begun = new CountDownLatch(1);
    CountDownLatch interrupted = new CountDownLatch(1);
    Thread thread =
        Thread.ofVirtual()
            .start(() -> {
              stoppable.begin();
              begun.countDown();
              try {
                new CountDownLatch(1).await();
              } catch (InterruptedException stopped) {
                interrupted.countDown();
              } finally {
                stoppable.end();
              }
            });
    begun.await();
    stoppable.stop();
    interrupted.await();
    thread.join();
    assertThat(stoppable.isStopped()).isTrue();
  }

  @Test
  void a_stop_before_it_begins_counts_and_one_afterwards_disturbs_nothing_else() {
    stoppable.stop();
    stoppable.begin();
    assertThat(Thread.currentThread().isInterrupted()).isTrue();
    stoppable.end();
    assertThat(Thread.currentThread().isInterrupted()).isFalse();
    stoppable.stop();
    assertThat(Thread.currentThread().isInterrupted()).isFalse();
  }
}
