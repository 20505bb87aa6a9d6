package dev.podflare.anthropic;

import dev.podflare.sdk.tools.ToolLimits;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * How a turn is carried out.
 *
 * @param limits of each call
 * @param ownTools by name; one that has the name of a sandbox's tool takes its place
 */
public record TurnOptions(ToolLimits limits, Map<String, OwnTool> ownTools) {
  private static final TurnOptions USUAL = new TurnOptions(ToolLimits.usual(), Map.of());

  public TurnOptions {
    ownTools = Collections.unmodifiableMap(new LinkedHashMap<>(ownTools));
  }

  /** The usual limits, and no tools but those of the sandbox. */
  public static TurnOptions usual() {
    return USUAL;
  }

  /** The same with other limits. */
  public TurnOptions withLimits(ToolLimits other) {
    return new TurnOptions(other, ownTools);
  }

  /** The same with one more tool of your own. */
  public TurnOptions withTool(String name, OwnTool tool) {
    Map<String, OwnTool> more = new LinkedHashMap<>(ownTools);
    more.put(name, tool);
    return new TurnOptions(limits, more);
  }
}
