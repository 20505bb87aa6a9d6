package dev.podflare.worker;

import dev.podflare.worker.Provider.Call;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/** The work of one environment. Any number of threads may share one. */
final class WorkQueue {
  /** What stands in place of the heartbeat before the first one. */
  static final String NO_HEARTBEAT = "NO_HEARTBEAT";

  /** The longest that the API lets a poll wait for work. */
  private static final int LONGEST_BLOCK_MILLIS = 999;

  private static final Duration PATIENCE = Duration.ofSeconds(20);

  private final Provider provider;
  private final String environment;
  private final EnvironmentKey key;
  private final String workerId;

  WorkQueue(Provider provider, String environment, EnvironmentKey key, String workerId) {
    this.provider = provider;
    this.environment = environment;
    this.key = key;
    this.workerId = workerId;
  }

  /**
   * What a heartbeat was answered.
   *
   * @param last what the next one must show, to prove that nobody else came between
   * @param isExtended whether the lease goes on
   * @param isStopping whether the work shall end
   * @param ttl how long the lease lasts without another heartbeat; zero if that is not said
   */
  record Heartbeat(String last, boolean isExtended, boolean isStopping, Duration ttl) {}

  /** The credential for the calls about an item. */
  String credential(WorkItem item) {
    return item.token().orElse(key.secret());
  }

  /** Waits a moment for work; nothing if none came. */
  Optional<WorkItem> poll() throws ProviderException, InterruptedException {
    JsonNode work =
        provider.json(
            key.secret(),
            Call.get(path("/poll"))
                .with("block_ms", String.valueOf(LONGEST_BLOCK_MILLIS))
                .header("Anthropic-Worker-ID", workerId),
            PATIENCE);
    return work.isObject() ? Optional.of(WorkItem.of(work)) : Optional.empty();
  }

  /** Takes an item out of the queue. */
  void acknowledge(WorkItem item) throws ProviderException, InterruptedException {
    provider.json(key.secret(), Call.post(path(item, "/ack"), null), PATIENCE);
  }

  /** Keeps the lease of an item, if it is still the one that {@code last} stands for. */
  Heartbeat heartbeat(WorkItem item, String last, Duration within)
      throws ProviderException, InterruptedException {
    JsonNode answer =
        provider.json(
            credential(item),
            Call.post(path(item, "/heartbeat"), null).with("expected_last_heartbeat", last),
            within);
    String state = answer.path("state").asString("");
    return new Heartbeat(
        answer.path("last_heartbeat").asString(""),
        answer.path("lease_extended").asBoolean(false),
        state.equals("stopping") || state.equals("stopped"),
        Duration.ofSeconds(Math.clamp(answer.path("ttl_seconds").asLong(0), 0, 86_400)));
  }

  /** Lets the lease run out soon, so that the item comes to another worker, or back to this one. */
  void giveBack(WorkItem item, String last) throws ProviderException, InterruptedException {
    provider.json(
        credential(item),
        Call.post(path(item, "/heartbeat"), null)
            .with("expected_last_heartbeat", last)
            .with("desired_ttl_seconds", "1"),
        PATIENCE);
  }

  /** Ends an item: the session has nothing for a worker to do, until it is queued anew. */
  void stop(WorkItem item) throws ProviderException, InterruptedException {
    provider.json(
        credential(item), Call.post(path(item, "/stop"), Map.of("force", true)), PATIENCE);
  }

  private String path(String rest) {
    return "/v1/environments/" + environment + "/work" + rest;
  }

  private String path(WorkItem item, String rest) {
    return path("/" + item.id() + rest);
  }
}
