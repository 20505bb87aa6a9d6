package dev.podflare.cli.client;

import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The server's sentences speak of fields and calls of its API. Here they speak of what a person
 * typed: options and commands.
 */
final class CommandWords {

  private static final Pattern FIELD =
      Pattern.compile(
          "\\b(?:[Tt]he field )?(memory_mb|disk_mb|timeout_seconds|idle_timeout_seconds|max_lifetime_seconds|on_conflict)\\b"
              + "|\\b[Tt]he field (n|cpus|env|cwd|metadata|template|egress|persistent|language|code|packages|script|warm|from|path|paths|mode)\\b");

  private static final Map<String, String> OPTIONS =
      Map.ofEntries(
          Map.entry("memory_mb", "--memory"),
          Map.entry("disk_mb", "--disk"),
          Map.entry("timeout_seconds", "--timeout"),
          Map.entry("idle_timeout_seconds", "--idle-timeout"),
          Map.entry("max_lifetime_seconds", "--max-lifetime"),
          Map.entry("on_conflict", "--on-conflict"),
          Map.entry("n", "-n"),
          Map.entry("paths", "--path"),
          Map.entry("egress", "--no-egress"),
          Map.entry("mode", "--files"),
          Map.entry("code", "CODE"));

  private static final Map<String, String> CALLS =
      Map.of(
          "GET /v1/templates", "podflare template list",
          "GET /v1/sandboxes", "podflare list",
          "POST /v1/sandboxes", "podflare create",
          "GET /v1/spaces", "podflare spaces");

  private CommandWords() {}

  static String of(String sentence) {
    String spoken =
        FIELD
            .matcher(sentence)
            .replaceAll(found -> {
              String field = found.group(1) == null ? found.group(2) : found.group(1);
              return Matcher.quoteReplacement(OPTIONS.getOrDefault(field, "--" + field));
            });
    for (Map.Entry<String, String> call : CALLS.entrySet()) {
      spoken = spoken.replaceAll(call.getKey() + "(?![/\\w])", call.getValue());
    }
    return spoken;
  }
}
