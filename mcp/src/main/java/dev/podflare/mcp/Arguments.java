package dev.podflare.mcp;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** What a tool was called with: another program's words, checked when they are read. */
final class Arguments {

  private static final Pattern SANDBOX = Pattern.compile("sbx_[0-9a-f]{32}");
  private static final Pattern SPACE = Pattern.compile("spc_[0-9a-f]{32}");
  private static final int MAX_PATH = 4096;

  private final Map<String, Object> values;

  private Arguments(Map<String, Object> values) {
    this.values = values;
  }

  /**
   * @param known the names that the tool has
   * @throws Failure if there is another: what a model writes it means, and would else believe done
   */
  static Arguments of(@Nullable Map<String, Object> values, Set<String> known) {
    Map<String, Object> given = new HashMap<>(values == null ? Map.of() : values);
    given.values().removeIf(value -> value == null);
    for (String name : new TreeSet<>(given.keySet())) {
      if (!known.contains(name)) {
        throw bad(
            "There is no argument "
                + quoted(name)
                + "; this tool has "
                + String.join(", ", new TreeSet<>(known)));
      }
    }
    return new Arguments(given);
  }

  boolean has(String name) {
    return values.containsKey(name);
  }

  String requiredText(String name) {
    return text(name).orElseThrow(() -> bad("The argument " + name + " is missing"));
  }

  Optional<String> text(String name) {
    return value(name)
        .map(value -> {
          if (value instanceof String text) {
            return Json.wellFormed(text);
          }
          throw wrong(name, "must be a string");
        });
  }

  Optional<Boolean> flag(String name) {
    return value(name)
        .map(value -> {
          if (value instanceof Boolean flag) {
            return flag;
          }
          throw wrong(name, "must be true or false");
        });
  }

  Optional<Integer> integer(String name, int least, int most) {
    return value(name)
        .map(value -> {
          if (value instanceof Number number
              && number.doubleValue() == Math.rint(number.doubleValue())
              && number.doubleValue() >= least
              && number.doubleValue() <= most) {
            return number.intValue();
          }
          throw wrong(name, "must be a whole number from " + least + " to " + most);
        });
  }

  Optional<Double> number(String name, double least, double most) {
    return value(name)
        .map(value -> {
          if (value instanceof Number number
              && number.doubleValue() >= least
              && number.doubleValue() <= most) {
            return number.doubleValue();
          }
          throw wrong(name, "must be a number from " + least + " to " + most);
        });
  }

  List<String> texts(String name, int atMost) {
    Optional<Object> value = value(name);
    if (value.isEmpty()) {
      return List.of();
    }
    List<String> texts = new ArrayList<>();
    if (value.get() instanceof List<?> list && list.size() <= atMost) {
      for (Object one : list) {
        if (one instanceof String text) {
          texts.add(Json.wellFormed(text));
        }
      }
      if (texts.size() == list.size()) {
        return texts;
      }
    }
    throw wrong(name, "must be a list of at most " + atMost + " strings");
  }

  Optional<String> oneOf(String name, List<String> words) {
    Optional<String> word = text(name);
    if (word.isPresent() && !words.contains(word.get())) {
      throw wrong(name, "must be one of " + String.join(", ", words));
    }
    return word;
  }

  Optional<String> sandbox(String name) {
    Optional<String> id = text(name);
    if (id.isPresent() && !SANDBOX.matcher(id.get()).matches()) {
      throw wrong(
          name,
          "must be a sandbox's id: sbx_ and 32 hex digits, as create_sandbox, fork and"
              + " list_sandboxes tell it");
    }
    return id;
  }

  String requiredSandbox(String name) {
    return sandbox(name).orElseThrow(() -> bad("The argument " + name + " is missing"));
  }

  String requiredSpace(String name) {
    String id = requiredText(name);
    if (!SPACE.matcher(id).matches()) {
      throw wrong(name, "must be a space's id: spc_ and 32 hex digits, as freeze tells it");
    }
    return id;
  }

  String requiredPath(String name) {
    String path = requiredText(name);
    if (path.isEmpty() || path.length() > MAX_PATH || path.indexOf('\0') >= 0) {
      throw wrong(name, "must be a path of 1 to " + MAX_PATH + " characters");
    }
    return path;
  }

  private Optional<Object> value(String name) {
    return Optional.ofNullable(values.get(name));
  }

  private static Failure wrong(String name, String rule) {
    return bad("The argument " + name + " " + rule);
  }

  static Failure bad(String what) {
    return Failure.of(Trouble.BAD_ARGUMENT, what);
  }

  /** Another program's word in a sentence of ours: short, and on one line. */
  static String quoted(String name) {
    String line = Json.wellFormed(name).replaceAll("\\p{Cntrl}", "?");
    return "'" + (line.length() > 60 ? line.substring(0, 60) + "…" : line) + "'";
  }
}
