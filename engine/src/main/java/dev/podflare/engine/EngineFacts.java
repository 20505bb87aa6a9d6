package dev.podflare.engine;

/**
 * What an engine is.
 *
 * @param name the engine's name with its version, for people
 * @param isolation what stands between a guest and the host
 * @param isolationReason why it is that, in one clause
 * @param fingerprint changes whenever snapshots made before would not fit any more
 * @param warnings what protection or limit this host can't give, one sentence each; empty is best
 */
public record EngineFacts(
    String name,
    Isolation isolation,
    String isolationReason,
    String fingerprint,
    java.util.List<String> warnings) {

  public EngineFacts {
    warnings = java.util.List.copyOf(warnings);
  }
}
