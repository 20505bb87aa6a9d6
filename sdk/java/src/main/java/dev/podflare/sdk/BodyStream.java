package dev.podflare.sdk;

import java.io.IOException;
import java.io.InputStream;
import java.net.http.HttpResponse.BodySubscriber;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Flow;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * The body of an answer, read by blocking. In place of the JDK's own, because this one gives up
 * when the server stays silent for too long, and lets a connection serve the next call when nobody
 * wants the rest of the body. For one thread at a time; another one may close it.
 */
final class BodyStream extends InputStream implements BodySubscriber<BodyStream> {
  /** How many parcels of bytes, each of some tens of kilobytes, are on their way at once. */
  private static final int AHEAD = 4;

  private static final Duration TAIL = Duration.ofSeconds(1);

  /** What the queue holds: bytes, or the end of them. */
  private sealed interface Parcel {
    record Bytes(List<ByteBuffer> buffers) implements Parcel {}

    record End(@Nullable Throwable failure) implements Parcel {}
  }

  /** Thrown by reads when nothing came in time. */
  static final class Silent extends IOException {
    private static final long serialVersionUID = 1L;
  }

  private volatile Flow.@Nullable Subscription subscription;
  private final LinkedBlockingQueue<Parcel> parcels = new LinkedBlockingQueue<>();
  private final ArrayDeque<ByteBuffer> current = new ArrayDeque<>();
  private volatile @Nullable Duration patience;
  private Parcel.@Nullable End end;
  private volatile boolean isUnwanted;
  private volatile boolean isComplete;

  /** Reads wait at most so long for the next byte; for ever if it is null. */
  BodyStream(@Nullable Duration patience) {
    this.patience = patience;
  }

  /** From now on reads wait at most so long. */
  void within(Duration longest) {
    patience = longest;
  }

  @Override
  public CompletionStage<BodyStream> getBody() {
    return CompletableFuture.completedFuture(this);
  }

  @Override
  public void onSubscribe(Flow.Subscription subscription) {
    this.subscription = subscription;
    if (isUnwanted) {
      subscription.cancel();
    } else {
      subscription.request(AHEAD);
    }
  }

  @Override
  public void onNext(List<ByteBuffer> buffers) {
    if (!isUnwanted) {
      parcels.add(new Parcel.Bytes(buffers));
    }
  }

  @Override
  public void onError(Throwable failure) {
    isComplete = true;
    parcels.add(new Parcel.End(failure));
  }

  @Override
  public void onComplete() {
    isComplete = true;
    parcels.add(new Parcel.End(null));
  }

  @Override
  public int read() throws IOException {
    return await() ? current.getFirst().get() & 0xFF : -1;
  }

  @Override
  public int read(byte[] target, int offset, int length) throws IOException {
    if (length == 0) {
      return 0;
    }
    if (!await()) {
      return -1;
    }
    int total = 0;
    while (total < length && skipToBytes()) {
      ByteBuffer buffer = current.getFirst();
      int count = Math.min(length - total, buffer.remaining());
      buffer.get(target, offset + total, count);
      total += count;
    }
    return total;
  }

  /** Stops reading. Unless all has come, the connection is closed. */
  @Override
  public void close() {
    isUnwanted = true;
    parcels.clear();
    parcels.add(new Parcel.End(new IOException("the stream is closed")));
    cancel();
  }

  /**
   * Stops reading where nothing of interest can follow. The end of the body comes at once, and then
   * the connection serves the next call; or it does not come, and the connection is not worth it.
   */
  void finish() {
    current.clear();
    long deadline = System.nanoTime() + TAIL.toNanos();
    try {
      while (end == null) {
        Parcel parcel = parcels.poll(deadline - System.nanoTime(), TimeUnit.NANOSECONDS);
        if (parcel == null) {
          break;
        }
        end = parcel instanceof Parcel.End last ? last : null;
        askFor(1);
      }
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt(); // What was read is whole; the caller's next call sees it.
    }
    close();
  }

  private void cancel() {
    Flow.Subscription open = subscription;
    if (open != null && !isComplete) {
      open.cancel();
    }
  }

  private void askFor(long more) {
    Flow.Subscription open = subscription;
    if (open != null) {
      open.request(more);
    }
  }

  /** Waits for at least one byte; false at the end of all. */
  private boolean await() throws IOException {
    while (!skipToBytes()) {
      if (end == null) {
        take();
      }
      if (end != null) {
        if (end.failure() != null) {
          throw new IOException(Transport.why(end.failure()), end.failure());
        }
        return false;
      }
    }
    return true;
  }

  private boolean skipToBytes() {
    while (!current.isEmpty() && !current.getFirst().hasRemaining()) {
      current.removeFirst();
    }
    return !current.isEmpty();
  }

  private void take() throws IOException {
    Duration longest = patience;
    Parcel parcel;
    try {
      parcel =
          longest == null ? parcels.take() : parcels.poll(longest.toNanos(), TimeUnit.NANOSECONDS);
    } catch (InterruptedException interrupted) {
      close();
      throw Failures.interrupted("waited for the server", interrupted);
    }
    if (parcel == null) {
      close();
      throw new Silent();
    }
    if (parcel instanceof Parcel.Bytes bytes) {
      current.addAll(bytes.buffers());
      askFor(1);
    } else if (parcel instanceof Parcel.End last) {
      end = last;
    }
  }
}
