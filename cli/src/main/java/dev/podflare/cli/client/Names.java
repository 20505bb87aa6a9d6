package dev.podflare.cli.client;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** Finds what an id on the command line means, which may be cut short, or a sandbox's name. */
public final class Names {

  /** The metadata that is a sandbox's name. */
  public static final String NAME = "name";

  private final ServerApi api;
  private @Nullable List<JsonNode> open;
  private @Nullable Ids spaces;

  public Names(ServerApi api) {
    this.api = api;
  }

  /** An open sandbox; an id in full length is taken as it is, open or not. */
  public String sandbox(String given) throws CommandFailure {
    if (Ids.ofSandboxes(List.of()).isWhole(given)) {
      return given;
    }
    List<JsonNode> known = open();
    List<String> called =
        ids(
            known.stream()
                .filter(sandbox -> sandbox.path("metadata").path(NAME).asString("").equals(given))
                .toList());
    return switch (called.size()) {
      case 0 -> Ids.ofSandboxes(ids(known)).meantBy(given);
      case 1 -> called.getFirst();
      default ->
          throw new CommandFailure(
              "%d open sandboxes are called %s; name one by its id: %s"
                  .formatted(called.size(), given, String.join(", ", called)));
    };
  }

  /** A sandbox that is open, or was and has family: that is, all that the server can draw. */
  public String sandboxEver(String given) throws CommandFailure {
    if (Ids.ofSandboxes(List.of()).isWhole(given)) {
      return given;
    }
    try {
      return sandbox(given);
    } catch (CommandFailure notOpen) {
      Ids ever = Ids.ofSandboxesEver(everInFamilies());
      return ever.meantBy(given);
    }
  }

  private Collection<String> everInFamilies() throws CommandFailure {
    Set<String> roots = new LinkedHashSet<>();
    open().forEach(sandbox -> roots.add(sandbox.path("family").asString()));
    api.spaces().forEach(space -> roots.add(space.path("family").asString()));
    List<String> ever = new ArrayList<>();
    for (String root : roots) {
      api.get("/v1/sandboxes/" + root + "/family")
          .path("sandboxes")
          .forEach(member -> ever.add(member.path("id").asString()));
    }
    return ever;
  }

  private List<JsonNode> open() throws CommandFailure {
    List<JsonNode> known = open;
    if (known == null) {
      known = api.sandboxes();
      open = known;
    }
    return known;
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
