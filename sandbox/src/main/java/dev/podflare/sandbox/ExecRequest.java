package dev.podflare.sandbox;

import java.time.Duration;
import java.util.Map;
import java.util.Optional;

/**
 * Code to run.
 *
 * @param timeout after which the code is interrupted; empty means that it may run as long as the
 *     sandbox lives
 * @param env environment variables for this exec only
 * @param cwd directory for this exec only
 */
public record ExecRequest(
    String code,
    Language language,
    Optional<Duration> timeout,
    Map<String, String> env,
    Optional<String> cwd) {

  /** What a sandbox can run. */
  public enum Language {
    /** In the one Python process that lives as long as the sandbox. */
    PYTHON,
    /** In a fresh bash. */
    BASH
  }

  public ExecRequest {
    env = Map.copyOf(env);
  }
}
