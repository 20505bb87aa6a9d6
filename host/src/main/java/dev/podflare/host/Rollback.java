package dev.podflare.host;

import java.util.ArrayDeque;

/**
 * Gives back what was taken, in the reverse order, unless all went well. For {@code
 * try}-with-resources:
 *
 * <pre>{@code
 * try (Rollback rollback = new Rollback()) {
 *   Descriptor first = rollback.add(Descriptor.open(file, READ));
 *   Descriptor second = rollback.add(Descriptor.open(other, READ));
 *   rollback.commit();
 *   return new Both(first, second);
 * }
 * }</pre>
 *
 * <p>For one thread.
 */
public final class Rollback implements AutoCloseable {

  private static final System.Logger LOG = System.getLogger(Rollback.class.getName());

  private final ArrayDeque<AutoCloseable> taken = new ArrayDeque<>();

  /** Closes it too, unless {@link #commit} is called. */
  public <T extends AutoCloseable> T add(T resource) {
    taken.push(resource);
    return resource;
  }

  /** All went well: nothing is given back. */
  public void commit() {
    taken.clear();
  }

  /** What can't be given back is logged: the failure that leads here is what matters. */
  @Override
  public void close() {
    while (!taken.isEmpty()) {
      try {
        taken.pop().close();
      } catch (Exception e) {
        LOG.log(System.Logger.Level.WARNING, "something that was taken can't be given back", e);
      }
    }
  }
}
