package dev.podflare.sdk;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.http.HttpClient;
import java.util.concurrent.Executor;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/** What newer JDKs have, and 17 does not. */
final class Threads {
  /** Runs blocking work: on virtual threads, where there are some, else on daemon threads. */
  static final Executor BLOCKING = blocking();

  private Threads() {}

  /** Ends the client's idle connections now, and it itself when its calls have ended. */
  static void shutDown(HttpClient http) {
    Method shutdown = method(HttpClient.class, "shutdown");
    if (shutdown != null) {
      call(shutdown, http);
    }
    // Before 21 a client ends by itself when nobody refers to it.
  }

  private static Executor blocking() {
    Method virtual = method(Executors.class, "newVirtualThreadPerTaskExecutor");
    if (virtual != null && call(virtual, null) instanceof Executor executor) {
      return executor;
    }
    AtomicLong count = new AtomicLong();
    ThreadFactory daemons =
        task -> {
          Thread thread = new Thread(task, "podflare-" + count.incrementAndGet());
          thread.setDaemon(true);
          return thread;
        };
    return Executors.newCachedThreadPool(daemons);
  }

  private static @Nullable Method method(Class<?> owner, String name) {
    try {
      return owner.getMethod(name);
    } catch (NoSuchMethodException olderJdk) {
      return null;
    }
  }

  private static @Nullable Object call(Method method, @Nullable Object target) {
    try {
      return method.invoke(target);
    } catch (IllegalAccessException | InvocationTargetException impossible) {
      throw new IllegalStateException(method + " can't be called", impossible);
    }
  }
}
