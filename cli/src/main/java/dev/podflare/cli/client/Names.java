package dev.podflare.cli.client;

import java.util.List;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** Finds what an id on the command line means, which may be cut short. */
public final class Names {

  private final ServerApi api;
  private @Nullable Ids sandboxes;
  private @Nullable Ids spaces;

  public Names(ServerApi api) {
    this.api = api;
  }

  /** An open sandbox; an id in full length is taken as it is, open or not. */
  public String sandbox(String given) throws CommandFailure {
    if (Ids.ofSandboxes(List.of()).isWhole(given)) {
      return given;
    }
    Ids known = sandboxes;
    if (known == null) {
      known = Ids.ofSandboxes(ids(api.sandboxes()));
      sandboxes = known;
    }
    return known.meantBy(given);
  }

  public String space(String given) throws CommandFailure {
    if (Ids.ofSpaces(List.of()).isWhole(given)) {
      return given;
    }
    Ids known = spaces;
    if (known == null) {
      known = Ids.ofSpaces(ids(api.spaces()));
      spaces = known;
    }
    return known.meantBy(given);
  }

  /** An exec of a sandbox. */
  public String exec(String sandbox, String given) throws CommandFailure {
    return Ids.ofExecs(List.of()).isWhole(given)
        ? given
        : Ids.ofExecs(ids(api.execs(sandbox))).meantBy(given);
  }

  public static List<String> ids(List<JsonNode> things) {
    return things.stream().map(thing -> thing.path("id").asString()).toList();
  }
}
