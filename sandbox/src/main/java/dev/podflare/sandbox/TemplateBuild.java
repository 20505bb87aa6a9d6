package dev.podflare.sandbox;

import java.time.Duration;
import java.util.List;

/**
 * The events of one build of a template as they come. For one reader.
 *
 * <p>Closing it says that nobody reads any more: the build goes on all the same.
 */
public interface TemplateBuild extends AutoCloseable {

  /**
   * Waits for the next event, and gives it with all that are there already, in order; empty after
   * the {@link ExecEvent.Exit}. Its code is 0 if the template is ready to be created from.
   */
  List<ToldEvent> next() throws InterruptedException;

  /** The same, but waits no longer than this; empty also if nothing came. */
  List<ToldEvent> next(Duration longest) throws InterruptedException;

  @Override
  void close();
}
