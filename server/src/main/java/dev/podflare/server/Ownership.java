package dev.podflare.server;

import dev.podflare.sandbox.SandboxId;
import dev.podflare.sandbox.Sandboxes;
import dev.podflare.sandbox.SpaceId;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * Says whose a sandbox or a Space is. Another's looks exactly as one that never was.
 *
 * <p>An id never changes its owner, not even when its sandbox is closed, so what was looked up once
 * is remembered, and a call on a known sandbox asks no database. Safe for use by many threads.
 */
final class Ownership {

  private static final int REMEMBERED = 10_000;

  private final Sandboxes sandboxes;
  private final Map<SandboxId, String> owners =
      Collections.synchronizedMap(
          new LinkedHashMap<>(16, 0.75f, true) {
            private static final long serialVersionUID = 1L;

            @Override
            protected boolean removeEldestEntry(Map.Entry<SandboxId, String> eldest) {
              return size() > REMEMBERED;
            }
          });

  Ownership(Sandboxes sandboxes) {
    this.sandboxes = sandboxes;
  }

  /**
   * The sandbox that a call names, closed or not.
   *
   * @throws ApiError 404 if it never was, or is another's
   */
  SandboxId require(Call call) {
    return require(call, "id");
  }

  /** The same for a sandbox that stands elsewhere in the path. */
  SandboxId require(Call call, String parameter) {
    return require(call.owner(), call.sandboxId(parameter));
  }

  /** The same for a path that is no call's. */
  SandboxId require(String owner, String id) {
    return require(owner, SandboxId.parse(id).orElseThrow(ApiError::noSandbox));
  }

  private SandboxId require(String owner, SandboxId id) {
    if (!ownerOf(id).equals(Optional.of(owner))) {
      throw ApiError.noSandbox();
    }
    return id;
  }

  /**
   * The Space that a call names, deleted or not.
   *
   * @throws ApiError 404 if it never was, or is another's
   */
  SpaceId requireSpace(Call call) {
    SpaceId id = call.spaceId("id");
    if (!sandboxes.spaceOwnerEver(id).equals(Optional.of(call.owner()))) {
      throw ApiError.noSpace();
    }
    return id;
  }

  private Optional<String> ownerOf(SandboxId id) {
    String known = owners.get(id);
    if (known != null) {
      return Optional.of(known);
    }
    Optional<String> owner = sandboxes.ownerEver(id);
    owner.ifPresent(found -> owners.put(id, found));
    return owner;
  }
}
