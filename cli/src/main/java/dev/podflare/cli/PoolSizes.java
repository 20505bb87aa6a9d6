package dev.podflare.cli;

import dev.podflare.cli.client.CommandFailure;
import dev.podflare.sandbox.Template;
import java.util.HashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** How many machines of each template wait, as an operator writes it: {@code default=4,other=0}. */
record PoolSizes(Map<String, Integer> byTemplate) {

  private static final Pattern SIZE = Pattern.compile("([a-z0-9-]+)=(\\d{1,3})");

  PoolSizes {
    byTemplate = Map.copyOf(byTemplate);
  }

  /** Reads the text; an empty one names no template. */
  static PoolSizes parse(String text) throws CommandFailure {
    Map<String, Integer> sizes = new HashMap<>();
    for (String size : text.isBlank() ? new String[0] : text.split(",", -1)) {
      Matcher matcher = SIZE.matcher(size.strip());
      if (!matcher.matches()
          || Template.builtIn().stream().noneMatch(one -> one.name().equals(matcher.group(1)))) {
        throw new CommandFailure(
            "--pools must be TEMPLATE=NUMBER[,TEMPLATE=NUMBER…] with templates of "
                + String.join(", ", Template.builtIn().stream().map(Template::name).toList())
                + ", but has: "
                + size);
      }
      sizes.put(matcher.group(1), Integer.valueOf(matcher.group(2)));
    }
    return new PoolSizes(sizes);
  }

  /** These sizes, and for the templates that they don't name the given ones. */
  Map<String, Integer> over(Map<String, Integer> otherwise) {
    Map<String, Integer> all = new HashMap<>(otherwise);
    all.putAll(byTemplate);
    return all;
  }
}
