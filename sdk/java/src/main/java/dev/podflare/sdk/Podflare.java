package dev.podflare.sdk;

import java.util.List;
import java.util.function.Consumer;

/**
 * Where to begin: sandboxes of the server that is configured.
 *
 * {@snippet :
 * import dev.podflare.sdk.*;
 *
 * try (Sandbox sb = Podflare.create()) {
 *   sb.run("import math; x = 20");
 *   System.out.print(sb.run("print(math.factorial(x))").stdout());
 * }
 * }
 *
 * <p>Nothing need be configured on the machine where {@code ./podflare up} runs; elsewhere {@code
 * PODFLARE_HOSTD_URL} and {@code PODFLARE_API_KEY} say where the server is. All calls here share
 * one {@link Client} for each configuration; make one with {@link Client#builder()} to set more.
 */
public final class Podflare {
  private Podflare() {}

  /**
   * Creates a sandbox and waits until it is ready.
   *
   * @throws AuthenticationException no key, or a wrong one; the text says how to get one
   * @throws ConnectionException the server can't be reached
   * @throws CapacityException the host has no room
   */
  public static Sandbox create() {
    return client().create();
  }

  /** Creates a sandbox as it is asked for. */
  public static Sandbox create(SandboxOptions options) {
    return client().create(options);
  }

  /** Creates a sandbox as it is asked for: {@code create(o -> o.egress(false))}. */
  public static Sandbox create(Consumer<SandboxOptions.Builder> options) {
    return client().create(options);
  }

  /**
   * The sandbox with this id, which may have been created by another program.
   *
   * @throws NotFoundException there is none, or it belongs to another key
   */
  public static Sandbox connect(String id) {
    return client().connect(id);
  }

  /** All sandboxes of this key. */
  public static List<Sandbox> list() {
    return client().list();
  }

  /**
   * The client that all calls here share. The environment and the credentials file are read anew
   * each time, so a changed one counts.
   */
  public static Client client() {
    return SharedClients.get();
  }
}
