package dev.podflare.cli.client;

import java.lang.reflect.Method;
import java.lang.reflect.Proxy;

/**
 * Signals to this process. The JDK tells of them by a class that no compiler lets pass without a
 * warning, so it is called by its name.
 */
public final class ProcessSignal {

  private ProcessSignal() {}

  /** What a signal does for a while; at the end it does what it did before. */
  public interface Handling extends AutoCloseable {
    @Override
    void close();
  }

  /**
   * Does something at each signal from now on, in place of what would happen. A signal that this
   * process was started to ignore stays ignored.
   *
   * @param name such as {@code INT}
   */
  public static void onEach(String name, Runnable action) {
    var _ = handling(name, action);
  }

  /** The same until the answer is closed. */
  public static Handling handling(String name, Runnable action) {
    try {
      Class<?> signal = Class.forName("sun.misc.Signal");
      Class<?> handler = Class.forName("sun.misc.SignalHandler");
      Object hearing =
          Proxy.newProxyInstance(
              ProcessSignal.class.getClassLoader(),
              new Class<?>[] {handler},
              (proxy, method, arguments) ->
                  switch (method.getName()) {
                    case "handle" -> {
                      action.run();
                      yield null;
                    }
                    case "hashCode" -> 0;
                    case "equals" -> false;
                    default -> "signal " + name;
                  });
      Object one = signal.getConstructor(String.class).newInstance(name);
      Method handle = signal.getMethod("handle", signal, handler);
      Object before = handle.invoke(null, one, hearing);
      return () -> {
        try {
          handle.invoke(null, one, before);
        } catch (ReflectiveOperationException e) {
          throw new IllegalStateException("this Java takes no handler of signals back", e);
        }
      };
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException("this Java does not tell of signals", e);
    }
  }
}
