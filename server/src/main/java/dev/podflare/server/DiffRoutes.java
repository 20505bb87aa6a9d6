package dev.podflare.server;

import dev.podflare.sandbox.CompareSandboxes;
import dev.podflare.sandbox.Difference;
import dev.podflare.sandbox.SandboxId;
import dev.podflare.sandbox.Sandboxes;
import java.util.List;

/** Tells what differs between two sandboxes. */
final class DiffRoutes {

  private final Sandboxes sandboxes;
  private final Ownership ownership;

  DiffRoutes(Sandboxes sandboxes, Ownership ownership) {
    this.sandboxes = sandboxes;
    this.ownership = ownership;
  }

  List<Route> routes() {
    return List.of(Route.keyed("GET", "/v1/sandboxes/{id}/diff/{other}", this::compare));
  }

  private void compare(Call call) {
    SandboxId from = ownership.require(call);
    SandboxId to = ownership.require(call, "other");
    Query query = call.query();
    CompareSandboxes what =
        new CompareSandboxes(
            GuestPaths.of("path", query.texts("path")),
            query.flag("text").orElse(false),
            query.flag("variables").orElse(true));
    Difference difference = sandboxes.compare(from, to, what);
    call.json(json -> DifferenceJson.write(json, difference));
  }
}
