package dev.podflare.sdk;

import java.util.List;
import java.util.stream.Stream;

/**
 * What sandboxes are cloned from, and building one's own.
 *
 * {@snippet :
 * import dev.podflare.sdk.*;
 *
 * Templates templates = Podflare.client().templates();
 * ExecResult built =
 *     templates.build(
 *         TemplateSpec.named("snippets-demo")
 *             .withScript("echo ready > /root/ready")
 *             .withWarmUp("import json"));
 * System.out.print(built.isOk() ? templates.list() : built.stderr());
 * templates.delete("snippets-demo");
 * }
 */
public final class Templates {
  private static final String PATH = "/v1/templates";

  private final Client client;

  Templates(Client client) {
    this.client = client;
  }

  /** Those that are built in, and those of this key. */
  public List<TemplateInfo> list() {
    return client.transport().json(Call.get(PATH)).list("templates").stream()
        .map(TemplateInfo::of)
        .toList();
  }

  /**
   * Builds one, and waits for it; after an exit code of 0 sandboxes can be created from it. The
   * same name again builds the next version, and sandboxes of the old one live on.
   *
   * @throws ConflictException the name is built in
   */
  public ExecResult build(TemplateSpec spec) {
    return build(spec, ExecOptions.python());
  }

  /** The same, telling the options' callbacks of what comes; nothing else of them counts. */
  public ExecResult build(TemplateSpec spec, ExecOptions callbacks) {
    try (EventReader events = start(spec)) {
      return Exec.gather(events, callbacks);
    }
  }

  /** Builds one, and answers what it writes as it comes; the last event is the exit. */
  public Stream<Event> stream(TemplateSpec spec) {
    return start(spec).stream();
  }

  /**
   * Deletes one. Sandboxes of it live on.
   *
   * @throws NotFoundException there is none
   * @throws ConflictException it is built in
   */
  public void delete(String name) {
    // Not sent again: the second answer would be 404 for what the first one deleted.
    client.transport().json(Call.delete(PATH + "/" + Url.part(name)).once());
  }

  private EventReader start(TemplateSpec spec) {
    Answer answer = client.transport().open(Call.post(PATH, spec.fields()).waiting());
    return new EventReader(client.transport(), answer, 0, null, false);
  }
}
