package dev.podflare.sandbox;

import java.time.Duration;
import java.util.List;
import java.util.Optional;

/**
 * What a new template shall be.
 *
 * @param owner an opaque mark of who builds it; nobody else can use it
 * @param name what its owner calls it
 * @param base the name of the template that it is built on
 * @param packages of the guest's distribution, installed first
 * @param script bash, run as root after that
 * @param warm Python, run last in the process that all its sandboxes find
 * @param timeout for all of it
 * @param cpus empty for the host's default, or what the base has if that is a user's own
 * @param memoryMiB in the same way
 * @param diskMiB in the same way
 */
public record BuildTemplate(
    String owner,
    String name,
    String base,
    List<String> packages,
    Optional<String> script,
    Optional<String> warm,
    Duration timeout,
    Optional<Integer> cpus,
    Optional<Integer> memoryMiB,
    Optional<Integer> diskMiB) {

  public BuildTemplate {
    packages = List.copyOf(packages);
  }
}
