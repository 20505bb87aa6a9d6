package dev.podflare.sandbox;

import dev.podflare.engine.Isolation;
import dev.podflare.engine.Prepared;
import java.util.List;

/**
 * What this host holds and can hold.
 *
 * @param isolation what stands between a sandbox of this host and the host
 * @param sandboxes sandboxes that are not closed
 * @param hostMemoryFreeBytes memory of the host that could still be used
 * @param roomFor roughly how many more sandboxes fit
 * @param prepared what microVMs need of the host, set up ahead of time
 * @param rehearsals templates' machines that are being warmed; what is made of them meanwhile
 *     begins slower
 */
public record Capacity(
    Isolation isolation,
    int sandboxes,
    long hostMemoryTotalBytes,
    long hostMemoryFreeBytes,
    int roomFor,
    Prepared prepared,
    int rehearsals,
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
