package dev.podflare.sandbox;

import java.util.List;

/**
 * What this host holds and can hold.
 *
 * @param sandboxes sandboxes that are not closed
 * @param hostMemoryFreeBytes memory of the host that could still be used
 * @param roomFor roughly how many more sandboxes fit
 */
public record Capacity(
    int sandboxes,
    long hostMemoryTotalBytes,
    long hostMemoryFreeBytes,
    int roomFor,
    List<Pool> pools) {

  public Capacity {
    pools = List.copyOf(pools);
  }

  /**
   * The warm pool of one template.
   *
   * @param ready microVMs that wait
   * @param target how many shall wait
   * @param hits creates that were served from the pool
   * @param misses creates that had to wait for a clone
   */
  public record Pool(String template, int ready, int target, long hits, long misses) {}
}
