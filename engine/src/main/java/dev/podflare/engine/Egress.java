package dev.podflare.engine;

/** What a microVM's network interface reaches. Sealed: a new policy is a new record here. */
public sealed interface Egress {

  /**
   * The outside through address translation; never the host, private ranges or metadata addresses.
   */
  record Outside() implements Egress {}

  /** The interface is up and every packet dies. */
  record Nothing() implements Egress {}
}
