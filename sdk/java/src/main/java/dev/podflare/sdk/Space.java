package dev.podflare.sdk;

/**
 * A frozen sandbox: its memory, disk and processes, kept on the server's disk until it is deleted.
 * It can be resumed any number of times, and each time gives a sandbox of its own.
 *
 * {@snippet :
 * import dev.podflare.sdk.*;
 *
 * Sandbox sb = Podflare.create();
 * sb.run("x = 42");
 * Space space = sb.freeze();
 * try (Sandbox again = space.resume()) {
 *   System.out.print(again.run("print(x)").stdout());
 * }
 * space.delete();
 * }
 */
public final class Space {
  private final Client client;
  private final String id;

  Space(Client client, String id) {
    this.client = client;
    this.id = id;
  }

  /** {@code spc_} and 32 hexadecimal digits. */
  public String id() {
    return id;
  }

  /** What the server knows about it. */
  public SpaceInfo info() {
    return SpaceInfo.of(client.transport().json(Call.get(Call.space(id, ""))));
  }

  /**
   * Wakes a sandbox from it, which goes on where the frozen one stopped. The Space stays.
   *
   * @throws ConflictException it is damaged, or does not fit this host any more
   * @throws CapacityException the host has no room
   */
  public Sandbox resume() {
    return resumed(Call.post(Call.space(id, "/resume"), Call.fields()).keyed(null));
  }

  /** The same under an idempotency key: again under this key, it answers the same sandbox. */
  public Sandbox resume(String idempotencyKey) {
    return resumed(Call.post(Call.space(id, "/resume"), Call.fields()).keyed(idempotencyKey));
  }

  /**
   * Frees its disk. Sandboxes that were resumed from it live on; again does nothing.
   *
   * @throws ConflictException a persistent sandbox sleeps in it
   */
  public void delete() {
    client.transport().json(Call.delete(Call.space(id, "")));
  }

  @Override
  public String toString() {
    return "Space[" + id + "]";
  }

  private Sandbox resumed(Call call) {
    return new Sandbox(client, client.transport().json(call).id("id"), null);
  }
}
