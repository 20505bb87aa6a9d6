package dev.podflare.sdk;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** One case of the conformance suite under way: its names, its threads, what is to be closed. */
final class ConformanceCase {
  /** A step did not end as the case says. */
  static final class Mismatch extends RuntimeException {
    private static final long serialVersionUID = 1L;

    Mismatch(String message) {
      super(message);
    }

    Mismatch(String message, Throwable cause) {
      super(message, cause);
    }
  }

  /**
   * What an operation did.
   *
   * @param made what it made, a list of that, or null
   * @param answer the fields that it answered
   */
  record Outcome(Object made, Map<String, Object> answer) {}

  private static final Pattern REFERENCE = Pattern.compile("\\$\\{([^}]+)}");
  private static final Set<String> STEP_WORDS =
      Set.of("do", "on", "args", "as", "expect", "error", "thread", "eventually");
  private static final Set<String> MATCHERS =
      Set.of(
          "contains",
          "starts",
          "matches",
          "has",
          "lacks",
          "has_key",
          "count",
          "type",
          "at_least",
          "not",
          "all");
  private static final long THREAD_DEADLINE_MILLIS = 300_000;

  private final List<Fields> steps;
  private final ConformanceOperations operations;
  private final Map<String, Outcome> names = new ConcurrentHashMap<>();
  private final ConcurrentLinkedQueue<Object> made = new ConcurrentLinkedQueue<>();
  private final Map<String, List<Thread>> threads = new LinkedHashMap<>();
  private final ConcurrentLinkedQueue<RuntimeException> failures = new ConcurrentLinkedQueue<>();

  ConformanceCase(List<Fields> steps, ConformanceOperations operations) {
    this.steps = steps;
    this.operations = operations;
  }

  void run() throws InterruptedException {
    try {
      int number = 0;
      for (Fields step : steps) {
        number++;
        Set<String> unknown = new TreeSet<>(step.names());
        unknown.removeAll(STEP_WORDS);
        if (!unknown.isEmpty()) {
          throw new Mismatch("step " + number + " has unknown words: " + unknown);
        }
        if (step.has("thread")) {
          start(number, step);
        } else {
          step(number, step);
        }
        throwFailure();
      }
    } finally {
      try {
        for (String name : threads.keySet()) {
          join(name);
        }
      } finally {
        made.forEach(operations::end);
      }
    }
    throwFailure();
  }

  private void start(int number, Fields step) {
    List<Thread> before = threads.computeIfAbsent(step.text("thread"), name -> new ArrayList<>());
    Thread earlier = before.isEmpty() ? null : before.get(before.size() - 1);
    before.add(
        Thread.ofVirtual()
            .start(() -> {
              try {
                if (earlier != null) {
                  earlier.join();
                }
                step(number, step);
              } catch (InterruptedException interrupted) {
                failures.add(new Mismatch("interrupted", interrupted));
              } catch (RuntimeException failure) {
                failures.add(failure);
              }
            }));
  }

  private void join(String name) throws InterruptedException {
    for (Thread thread : threads.get(name)) {
      thread.join(THREAD_DEADLINE_MILLIS);
      if (thread.isAlive()) {
        throw new Mismatch("thread " + name + " did not end");
      }
    }
  }

  private void throwFailure() {
    RuntimeException failure = failures.peek();
    if (failure != null) {
      throw failure;
    }
  }

  private void step(int number, Fields step) throws InterruptedException {
    long until = System.nanoTime() + step.seconds("eventually").toNanos();
    while (true) {
      try {
        attempt(step);
        return;
      } catch (Mismatch | PodflareException failure) {
        if (System.nanoTime() >= until) {
          throw new Mismatch(
              "step " + number + ", " + step.text("do") + ": " + failure.getMessage(), failure);
        }
      }
      Thread.sleep(50); // As the suite says.
    }
  }

  private void attempt(Fields step) throws InterruptedException {
    Fields arguments = filledObject(step, "args");
    if (step.text("do").equals("join")) {
      join(arguments.text("thread"));
      return;
    }
    Object on = step.has("on") ? object(step.text("on")) : null;
    Outcome outcome;
    try {
      outcome = operations.carryOut(step.text("do"), on, arguments);
    } catch (PodflareException failure) {
      if (!step.has("error")) {
        throw failure;
      }
      checkError(failure, filledObject(step, "error"));
      return;
    }
    if (outcome.made() != null) {
      made.add(outcome.made());
    }
    if (step.has("error")) {
      throw new Mismatch("it should fail, and answered " + outcome.answer());
    }
    if (step.has("as")) {
      names.put(step.text("as"), outcome);
    }
    Fields expected = filledObject(step, "expect");
    for (String path : expected.names()) {
      Object value = field(outcome.answer(), path);
      if (!matches(value, expected.raw(path))) {
        throw new Mismatch(
            path + " is " + value + ", not " + expected.raw(path) + "; all: " + outcome.answer());
      }
    }
  }

  private void checkError(PodflareException failure, Fields expected) {
    String kind = expected.text("type");
    if (!kinds(failure).contains(kind)) {
      throw new Mismatch("it is a " + failure.getClass().getSimpleName() + ": " + failure, failure);
    }
    Map<String, Object> facts = new LinkedHashMap<>();
    facts.put("status", failure.status().isPresent() ? failure.status().getAsInt() : null);
    facts.put("code", failure.code().orElse(null));
    facts.put("hint", failure.hint().orElse(null));
    facts.put("message", failure.sentence());
    for (String word : expected.names()) {
      if (!word.equals("type") && !facts.containsKey(word)) {
        throw new Mismatch("unknown word of an error: " + word);
      }
      if (!word.equals("type") && !matches(facts.get(word), expected.raw(word))) {
        throw new Mismatch(word + " is " + facts.get(word) + ": " + failure, failure);
      }
    }
  }

  /** The names that this exception has in the suite. */
  private static Set<String> kinds(PodflareException failure) {
    Set<String> kinds = new TreeSet<>();
    for (Class<?> each = failure.getClass();
        PodflareException.class.isAssignableFrom(each);
        each = each.getSuperclass()) {
      kinds.add(
          each.getSimpleName().replace("RequestTimeout", "Timeout").replace("Exception", "Error"));
    }
    return kinds;
  }

  private Object object(String name) {
    String[] parts = name.split("\\.", 2);
    Outcome outcome = names.get(parts[0]);
    if (outcome == null) {
      throw new Mismatch("nothing is named " + parts[0]);
    }
    return parts.length == 1
        ? outcome.made()
        : ((List<?>) outcome.made()).get(Integer.parseInt(parts[1]));
  }

  private Fields filledObject(Fields step, String name) {
    return new Fields(Fields.named((Map<?, ?>) filled(step.has(name) ? step.raw(name) : Map.of())));
  }

  private Object filled(Object value) {
    if (value instanceof String text) {
      return REFERENCE
          .matcher(text)
          .replaceAll(found -> Matcher.quoteReplacement(referred(found.group(1))));
    }
    if (value instanceof List<?> list) {
      return list.stream().map(this::filled).toList();
    }
    if (value instanceof Map<?, ?> object) {
      if (object.keySet().equals(Set.of("repeat", "times"))) {
        return ((String) object.get("repeat")).repeat(((Number) object.get("times")).intValue());
      }
      Map<String, Object> filled = new LinkedHashMap<>();
      object.forEach((key, field) -> filled.put((String) filled(key), filled(field)));
      return filled;
    }
    return value;
  }

  private String referred(String path) {
    String[] parts = path.split("\\.", 2);
    Outcome outcome = names.get(parts[0]);
    if (outcome == null) {
      throw new Mismatch("nothing is named " + parts[0]);
    }
    return String.valueOf(field(outcome.answer(), parts.length == 1 ? "id" : parts[1]));
  }

  /** What stands at {@code a.b.0}, null if nothing does. A key may itself have dots. */
  private static Object field(Object answer, String path) {
    String[] parts = path.split("\\.", 2);
    if (answer instanceof Map<?, ?> object) {
      if (object.containsKey(path)) {
        return object.get(path);
      }
      return parts.length == 2 ? field(object.get(parts[0]), parts[1]) : null;
    }
    if (answer instanceof List<?> list && parts[0].matches("[0-9]+")) {
      int place = Integer.parseInt(parts[0]);
      if (place < list.size()) {
        return parts.length == 2 ? field(list.get(place), parts[1]) : list.get(place);
      }
    }
    return null;
  }

  private static boolean matches(Object value, Object matcher) {
    if (matcher instanceof Map<?, ?> object && object.size() == 1) {
      String word = (String) object.keySet().iterator().next();
      if (MATCHERS.contains(word)) {
        return holds(word, object.get(word), value);
      }
    }
    return isEqual(value, matcher);
  }

  private static boolean holds(String word, Object asked, Object value) {
    return switch (word) {
      case "contains" -> value instanceof String text && text.contains((String) asked);
      case "starts" -> value instanceof String text && text.startsWith((String) asked);
      case "matches" ->
          value instanceof String text && Pattern.compile((String) asked).matcher(text).find();
      case "has" ->
          value instanceof List<?> list && ((List<?>) asked).stream().allMatch(isIn(list));
      case "lacks" ->
          value instanceof List<?> list && ((List<?>) asked).stream().noneMatch(isIn(list));
      case "has_key" -> value instanceof Map<?, ?> object && object.containsKey(asked);
      case "count" -> size(value) == ((Number) asked).intValue();
      case "type" -> type(value).equals(asked);
      case "at_least" ->
          value instanceof Number number && number.doubleValue() >= ((Number) asked).doubleValue();
      case "not" -> !matches(value, asked);
      case "all" -> ((List<?>) asked).stream().allMatch(each -> matches(value, each));
      default -> throw new Mismatch("unknown matcher " + word);
    };
  }

  private static java.util.function.Predicate<Object> isIn(List<?> list) {
    return asked -> list.stream().anyMatch(each -> isEqual(each, asked));
  }

  private static int size(Object value) {
    if (value instanceof List<?> list) {
      return list.size();
    }
    return value instanceof Map<?, ?> object ? object.size() : -1;
  }

  private static String type(Object value) {
    return switch (value) {
      case null -> "null";
      case String _ -> "string";
      case Number _ -> "number";
      case Boolean _ -> "boolean";
      case List<?> _ -> "array";
      default -> "object";
    };
  }

  private static boolean isEqual(Object value, Object other) {
    if (value instanceof Number one && other instanceof Number two) {
      return one.doubleValue() == two.doubleValue();
    }
    if (value instanceof List<?> one && other instanceof List<?> two) {
      if (one.size() != two.size()) {
        return false;
      }
      for (int i = 0; i < one.size(); i++) {
        if (!isEqual(one.get(i), two.get(i))) {
          return false;
        }
      }
      return true;
    }
    if (value instanceof Map<?, ?> one && other instanceof Map<?, ?> two) {
      return one.keySet().equals(two.keySet())
          && one.keySet().stream().allMatch(key -> isEqual(one.get(key), two.get(key)));
    }
    return value == null ? other == null : value.equals(other);
  }

  static String camelToSnake(String name) {
    return name.replaceAll("([A-Z])", "_$1").toLowerCase(Locale.ROOT);
  }
}
