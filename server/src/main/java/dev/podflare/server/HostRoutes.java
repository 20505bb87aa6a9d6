package dev.podflare.server;

import dev.podflare.sandbox.Capacity;
import dev.podflare.sandbox.Sandboxes;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Objects;
import tools.jackson.core.JsonGenerator;

/** What the host says of itself. */
final class HostRoutes {

  private static final String API_DESCRIPTION = "/openapi.yaml";
  private static final byte[] OK = "ok".getBytes(StandardCharsets.US_ASCII);
  private static final int BASIS_POINTS = 10_000;

  private final Sandboxes sandboxes;
  private final ServerMetrics metrics;

  HostRoutes(Sandboxes sandboxes, ServerMetrics metrics) {
    this.sandboxes = sandboxes;
    this.metrics = metrics;
  }

  List<Route> routes() {
    return List.of(
        Route.open("GET", "/v1/healthz", call -> call.bytes("text/plain", OK)),
        Route.keyed("GET", "/v1/capacity", this::capacity),
        Route.keyed("GET", "/metrics", this::metrics),
        Route.keyed("GET", "/openapi.yaml", this::apiDescription));
  }

  private void capacity(Call call) {
    Capacity capacity = sandboxes.capacity();
    call.json(json -> write(json, capacity));
  }

  private void metrics(Call call) throws IOException {
    call.bytes(ServerMetrics.CONTENT_TYPE, metrics.text());
  }

  private void apiDescription(Call call) throws IOException {
    try (InputStream yaml =
        Objects.requireNonNull(HostRoutes.class.getResourceAsStream(API_DESCRIPTION))) {
      call.bytes("application/yaml", yaml.readAllBytes());
    }
  }

  private static void write(JsonGenerator json, Capacity capacity) {
    List<Capacity.Pool> pools = capacity.pools();
    long hits = pools.stream().mapToLong(Capacity.Pool::hits).sum();
    long misses = pools.stream().mapToLong(Capacity.Pool::misses).sum();
    json.writeStartObject();
    json.writeStringProperty("isolation", capacity.isolation().word());
    json.writeStringProperty("isolation_promise", capacity.isolation().promise());
    json.writeNumberProperty("sandboxes", capacity.sandboxes());
    json.writeNumberProperty("room_for", capacity.roomFor());
    json.writeNumberProperty("host_memory_total_bytes", capacity.hostMemoryTotalBytes());
    json.writeNumberProperty("host_memory_free_bytes", capacity.hostMemoryFreeBytes());
    json.writeNumberProperty("prepared_ready", capacity.prepared().ready());
    json.writeNumberProperty("prepared_target", capacity.prepared().target());
    json.writeNumberProperty("rehearsals", capacity.rehearsals());
    json.writeNumberProperty("pool_ready", pools.stream().mapToInt(Capacity.Pool::ready).sum());
    json.writeNumberProperty("pool_target", pools.stream().mapToInt(Capacity.Pool::target).sum());
    json.writeNumberProperty("pool_hits", hits);
    json.writeNumberProperty("pool_misses", misses);
    json.writeNumberProperty("pool_hit_rate_bp", hitRate(hits, misses));
    json.writeArrayPropertyStart("pools");
    for (Capacity.Pool pool : pools) {
      json.writeStartObject();
      Json.text(json, "template", pool.template());
      json.writeNumberProperty("ready", pool.ready());
      json.writeNumberProperty("target", pool.target());
      json.writeNumberProperty("hits", pool.hits());
      json.writeNumberProperty("misses", pool.misses());
      json.writeNumberProperty("hit_rate_bp", hitRate(pool.hits(), pool.misses()));
      json.writeEndObject();
    }
    json.writeEndArray();
    json.writeEndObject();
  }

  /** Hits in ten thousand; 0 before the first create. */
  private static long hitRate(long hits, long misses) {
    return hits + misses == 0 ? 0 : hits * BASIS_POINTS / (hits + misses);
  }
}
