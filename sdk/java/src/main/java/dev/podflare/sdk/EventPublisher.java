package dev.podflare.sdk;

import java.util.Objects;
import java.util.concurrent.Executor;
import java.util.concurrent.Flow;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** The events of one exec for one subscriber, as many as it asks for. */
final class EventPublisher implements Flow.Publisher<Event> {
  private final Supplier<EventReader> start;
  private final Executor executor;
  private final AtomicBoolean isTaken = new AtomicBoolean();

  /** The exec is started on the executor when somebody subscribes. */
  EventPublisher(Supplier<EventReader> start, Executor executor) {
    this.start = start;
    this.executor = executor;
  }

  @Override
  public void subscribe(Flow.Subscriber<? super Event> subscriber) {
    Objects.requireNonNull(subscriber, "subscriber");
    Subscription subscription = new Subscription(subscriber);
    subscriber.onSubscribe(subscription);
    if (isTaken.compareAndSet(false, true)) {
      executor.execute(subscription::run);
    } else {
      subscription.refuse(
          new IllegalStateException("the exec has a subscriber; code is never run twice"));
    }
  }

  private final class Subscription implements Flow.Subscription {
    private final Flow.Subscriber<? super Event> subscriber;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private long wanted;
    private boolean isCancelled;
    private @Nullable IllegalArgumentException wrongRequest;
    private @Nullable EventReader events;

    Subscription(Flow.Subscriber<? super Event> subscriber) {
      this.subscriber = subscriber;
    }

    @Override
    public void request(long count) {
      lock.lock();
      try {
        if (count <= 0) {
          wrongRequest = new IllegalArgumentException("request(" + count + ") asks for nothing");
        } else {
          wanted = wanted + count < 0 ? Long.MAX_VALUE : wanted + count;
        }
        changed.signalAll();
      } finally {
        lock.unlock();
      }
    }

    @Override
    public void cancel() {
      EventReader running;
      lock.lock();
      try {
        isCancelled = true;
        running = events;
        changed.signalAll();
      } finally {
        lock.unlock();
      }
      if (running != null) {
        running.leave(); // Wakes a read that waits for the code's next output.
      }
    }

    void refuse(IllegalStateException reason) {
      isCancelled = true;
      subscriber.onError(reason);
    }

    void run() {
      try (EventReader reader = start.get()) {
        if (isStarted(reader)) {
          boolean hasEnded = false;
          while (!hasEnded && mayGoOn() && reader.hasNext()) {
            Event event = reader.next();
            hasEnded = event instanceof Event.Exit; // The end itself needs no request.
            subscriber.onNext(event);
          }
        }
      } catch (PodflareException | IllegalStateException | IllegalArgumentException failure) {
        if (!wasCancelled()) {
          subscriber.onError(failure);
        }
        return;
      }
      if (!wasCancelled()) {
        subscriber.onComplete();
      }
    }

    private boolean isStarted(EventReader reader) {
      lock.lock();
      try {
        events = reader;
        return !isCancelled;
      } finally {
        lock.unlock();
      }
    }

    /** Waits until the next event is wanted. */
    private boolean mayGoOn() {
      lock.lock();
      try {
        while (wanted == 0 && !isCancelled && wrongRequest == null) {
          changed.awaitUninterruptibly();
        }
        if (wrongRequest != null) {
          throw wrongRequest;
        }
        wanted -= wanted == Long.MAX_VALUE ? 0 : 1;
        return !isCancelled;
      } finally {
        lock.unlock();
      }
    }

    private boolean wasCancelled() {
      lock.lock();
      try {
        return isCancelled;
      } finally {
        lock.unlock();
      }
    }
  }
}
