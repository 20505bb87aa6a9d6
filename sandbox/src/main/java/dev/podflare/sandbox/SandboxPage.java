package dev.podflare.sandbox;

import java.util.List;
import java.util.Optional;

/**
 * One page of a list.
 *
 * @param next what to ask for as {@link SandboxQuery#after()} to get the next page; empty at the
 *     end
 */
public record SandboxPage(List<SandboxInfo> sandboxes, Optional<SandboxId> next) {

  public SandboxPage {
    sandboxes = List.copyOf(sandboxes);
  }
}
