package dev.podflare.engine;

import java.time.Duration;
import java.util.List;

/**
 * Live copies of a microVM.
 *
 * @param children the copies, which run
 * @param pause how long the parent stood still
 */
public record Fork(List<MicroVm> children, Duration pause) {

  public Fork {
    children = List.copyOf(children);
  }
}
