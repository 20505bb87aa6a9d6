package dev.podflare.mcp;

import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Who makes one call without a session. It has no sandbox of its own: a call that may be a client's
 * first makes one, and its answer tells the id that later calls pass.
 *
 * <p>Nobody says when such a client is done, so its sandboxes end by their lifetime.
 */
final class StatelessCaller implements Caller {

  private final SandboxCalls calls;
  private final Map<String, ?> options;
  private Optional<String> made = Optional.empty();

  /**
   * @param options what a sandbox is created with that no call has named
   */
  StatelessCaller(SandboxCalls calls, Map<String, ?> options) {
    this.calls = calls;
    this.options = Map.copyOf(options);
  }

  @Override
  public SandboxCalls calls() {
    return calls;
  }

  @Override
  public String unnamed() {
    throw Failure.of(Trouble.SANDBOX_ID_MISSING);
  }

  @Override
  public synchronized String unnamedOrNew() {
    if (made.isEmpty()) {
      made = Optional.of(calls.create(options));
    }
    return made.get();
  }

  @Override
  public synchronized Optional<String> unnamedIfAny() {
    return made;
  }

  @Override
  public synchronized Optional<String> news() {
    return made.map(id ->
        "sandbox_id: "
            + id
            + "\nThis sandbox is new. Pass sandbox_id in every later call that shall find its"
            + " variables and files; a call without it gets another new one.");
  }

  /** What calls without a session have made for this key, and the forks of that. */
  @Override
  public Set<String> ownOf(List<SandboxCalls.Listed> sandboxes) {
    Set<String> own = new HashSet<>();
    // Oldest first, so that a parent comes before its children.
    for (SandboxCalls.Listed sandbox : sandboxes) {
      if (OwnSandbox.isOfStatelessCall(sandbox.marks())
          || sandbox.parent().filter(own::contains).isPresent()) {
        own.add(sandbox.id());
      }
    }
    return own;
  }

  @Override
  public void made(String sandbox) {}

  @Override
  public void forked(String parent, List<String> children) {}

  @Override
  public void gone(String sandbox) {}
}
