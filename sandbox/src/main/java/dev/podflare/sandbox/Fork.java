package dev.podflare.sandbox;

import java.time.Duration;
import java.util.List;

/**
 * The children of one fork, all of one instant of their parent.
 *
 * @param children in the order in which they were asked for; their machines run
 * @param pause how long the parent stood still
 * @param running from the call to the moment when the last child ran
 */
public record Fork(List<SandboxInfo> children, Duration pause, Duration running) {

  public Fork {
    children = List.copyOf(children);
  }
}
