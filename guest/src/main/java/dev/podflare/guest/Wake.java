package dev.podflare.guest;

import java.time.Instant;
import java.util.Map;

/**
 * What makes a clone a machine of its own.
 *
 * @param entropy of no other machine
 * @param time the wall clock's time
 * @param hostname its name
 * @param env environment variables of all that it runs from now on
 * @param generation how often it was cloned: 0 and up; user code can read it
 * @param mac the hardware address of its network device, {@code 52:54:00:12:34:56}; empty to keep
 *     the one that it has
 * @param severed whether network connections that it took over from the machine that it was cut
 *     from are ended; those among its own processes stay
 * @param rehearsed whether it goes the whole way of an exec once, unseen, before it confirms, so
 *     that the first one finds everything warm; not while an exec of before goes on
 */
public record Wake(
    Entropy entropy,
    Instant time,
    String hostname,
    Map<String, String> env,
    int generation,
    String mac,
    boolean severed,
    boolean rehearsed) {

  public Wake {
    env = Map.copyOf(env);
  }

  /** For a clone that user code has not run in yet: it is warmed, and has no connections. */
  public static Wake ofTemplate(
      Entropy entropy, Instant time, String hostname, Map<String, String> env, int generation) {
    return new Wake(entropy, time, hostname, env, generation, "", false, true);
  }
}
