package dev.podflare.sandbox;

import dev.podflare.engine.MachineShape;
import java.time.Duration;
import java.util.Map;

/**
 * What this host gives: defaults and caps. Set by the operator.
 *
 * @param defaultShape of a sandbox that asks for nothing; the size that pools hold
 * @param largestShape what a sandbox may ask for at most
 * @param defaultIdleTimeout how long an unused sandbox is kept
 * @param longestIdleTimeout what a sandbox may ask for at most
 * @param longestLifetime what a sandbox may ask for at most
 * @param pools how many machines of each template wait; a template that is not named has none
 *     waiting, and is built when it is first asked for
 * @param memoryReserveBytes memory of the host that no sandbox may be started into
 * @param memoryPerSandboxBytes memory that must be free beyond the reserve to start one more
 */
public record HostLimits(
    MachineShape defaultShape,
    MachineShape largestShape,
    Duration defaultIdleTimeout,
    Duration longestIdleTimeout,
    Duration longestLifetime,
    Map<String, Integer> pools,
    long memoryReserveBytes,
    long memoryPerSandboxBytes) {

  public HostLimits {
    pools = Map.copyOf(pools);
  }
}
