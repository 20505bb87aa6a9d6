package dev.podflare.guest;

/**
 * What the agent says of itself once it has booted.
 *
 * @param protocol the version of the agent protocol that it speaks
 * @param python the version of its Python; a claim, at most 1,024 characters
 * @param resync with what {@link AgentConnection#resume} takes this machine, and its clones, over
 */
public record Hello(int protocol, String python, ResyncToken resync) {

  /** The version that this host speaks. */
  static final int PROTOCOL = 2;
}
