package dev.podflare.worker;

import dev.podflare.sdk.ExecOptions;
import dev.podflare.sdk.ExecResult;
import dev.podflare.sdk.Language;
import dev.podflare.sdk.Sandbox;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.UUID;
import tools.jackson.databind.JsonNode;

/**
 * What the worker does to files of a sandbox beyond writing and reading one. It happens inside, so
 * that archives and repositories of strangers are never unpacked on the worker's machine; what
 * comes back is checked as from a stranger. Several deeds at once cost one start of Python.
 */
final class GuestScript {
  private static final Duration LIMIT = Duration.ofMinutes(10);
  private static final String COMMAND = "cd /; exec python3 -I -S -c \"$PF_SCRIPT\"";

  /** An environment variable holds 128 KiB; in between are the names and the frame. */
  private static final int LARGEST_REQUEST = 96 << 10;

  private GuestScript() {}

  /** One thing to do, with its arguments by name. */
  record Deed(String name, Map<String, ?> arguments) {
    Deed {
      arguments = Map.copyOf(arguments);
    }
  }

  /** What came of a deed. */
  record Done(JsonNode result, Optional<String> error) {
    JsonNode get() throws MountException {
      if (error.isPresent()) {
        throw new MountException(error.get());
      }
      return result;
    }
  }

  static JsonNode run(Sandbox here, Deed deed) throws MountException {
    return run(here, List.of(deed)).getFirst().get();
  }

  /** Does one after the other, also after one that failed. */
  static List<Done> run(Sandbox here, List<Deed> deeds) throws MountException {
    List<Done> done = new ArrayList<>();
    List<byte[]> some = new ArrayList<>();
    int size = 0;
    for (Deed deed : deeds) {
      Map<String, Object> request = new TreeMap<>(deed.arguments());
      request.put("do", deed.name());
      byte[] text = Json.MAPPER.writeValueAsBytes(request);
      if (size + text.length > LARGEST_REQUEST && !some.isEmpty()) {
        done.addAll(runSome(here, some));
        some.clear();
        size = 0;
      }
      some.add(text);
      size += text.length + 1;
    }
    if (!some.isEmpty()) {
      done.addAll(runSome(here, some));
    }
    return done;
  }

  private static List<Done> runSome(Sandbox here, List<byte[]> requests) throws MountException {
    StringBuilder list = new StringBuilder("[");
    for (byte[] request : requests) {
      list.append(list.length() == 1 ? "" : ",")
          .append(new String(request, StandardCharsets.UTF_8));
    }
    ExecOptions options =
        ExecOptions.builder()
            .language(Language.BASH)
            .timeout(LIMIT)
            .env("PF_SCRIPT", Resources.text("mounts.py"))
            .env("PF_REQUEST", list.append(']').toString())
            .build();
    ExecResult ran = here.run(COMMAND, options);
    if (!ran.isOk()) {
      throw new MountException(
          "the sandbox's python3 can't place files: "
              + (ran.stderr().isBlank() ? "it ended by " + ran.reason() : said(ran.stderr())));
    }
    List<Done> done = new ArrayList<>();
    try {
      for (JsonNode each : Json.read(ran.stdout().getBytes(StandardCharsets.UTF_8))) {
        JsonNode error = each.path("error");
        done.add(
            new Done(
                each.path("result"),
                error.isString() ? Optional.of(said(error.asString())) : Optional.empty()));
      }
    } catch (ProviderException noJson) {
      throw new MountException("the sandbox's python3 does not answer as it should", noJson);
    }
    if (done.size() != requests.size()) {
      throw new MountException("the sandbox's python3 does not answer as it should");
    }
    return done;
  }

  private static String said(String text) {
    return Json.said(text.strip().replace('\n', ' '));
  }

  /** A path in the sandbox for something on its way. */
  static String part() {
    return "/tmp/.podflare-" + UUID.randomUUID();
  }
}
