package dev.podflare.server;

import dev.podflare.sandbox.Capacity;
import dev.podflare.sandbox.Fork;
import dev.podflare.sandbox.MergeSandboxes;
import dev.podflare.sandbox.Sandboxes;
import io.prometheus.metrics.config.EscapingScheme;
import io.prometheus.metrics.core.metrics.Counter;
import io.prometheus.metrics.core.metrics.CounterWithCallback;
import io.prometheus.metrics.core.metrics.Gauge;
import io.prometheus.metrics.core.metrics.GaugeWithCallback;
import io.prometheus.metrics.core.metrics.Histogram;
import io.prometheus.metrics.expositionformats.PrometheusTextFormatWriter;
import io.prometheus.metrics.model.registry.PrometheusRegistry;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.function.ToIntFunction;

/** What this server counts, in the form that Prometheus reads. */
final class ServerMetrics {

  static final String CONTENT_TYPE = PrometheusTextFormatWriter.CONTENT_TYPE;

  private static final double NANOS_PER_SECOND = 1e9;

  private final PrometheusRegistry registry = new PrometheusRegistry();
  private final PrometheusTextFormatWriter writer = PrometheusTextFormatWriter.create();
  private final Counter requests;
  private final Histogram latencies;
  private final Counter creates;
  private final Counter outputBytes;
  private final Counter forks;
  private final Counter children;
  private final Histogram forkPauses;
  private final Histogram forkRunnings;
  private final Counter merges;
  private final Counter freezes;
  private final Counter resumes;
  private final Gauge terminalClients;
  private final Counter terminalBytes;
  private final Counter templateBuilds;

  ServerMetrics(Sandboxes sandboxes) {
    requests =
        Counter.builder()
            .name("podflare_http_requests_total")
            .help("Requests answered, by route and status")
            .labelNames("method", "route", "status")
            .register(registry);
    latencies =
        Histogram.builder()
            .name("podflare_http_request_seconds")
            .help("Time from a request's head to the end of its answer")
            .labelNames("method", "route")
            .classicOnly()
            .classicUpperBounds(.0005, .001, .0025, .005, .01, .025, .05, .1, .5, 1, 5, 30, 300)
            .register(registry);
    creates = counter("podflare_sandboxes_created_total", "Sandboxes made");
    CounterWithCallback.builder()
        .name("podflare_execs_total")
        .help("Execs begun")
        .callback(counter -> counter.call((double) sandboxes.execCounts().begun()))
        .register(registry);
    CounterWithCallback.builder()
        .name("podflare_exec_ends_total")
        .help("Execs ended, by reason")
        .labelNames("reason")
        .callback(counter ->
            sandboxes
                .execCounts()
                .ended()
                .forEach((reason, ends) -> counter.call((double) ends, Json.word(reason))))
        .register(registry);
    outputBytes = counter("podflare_exec_output_bytes_total", "Bytes of event streams sent");
    forks = counter("podflare_forks_total", "Forks made");
    children = counter("podflare_fork_children_total", "Sandboxes that forks made");
    forkPauses =
        histogram("podflare_fork_pause_seconds", "How long the parent of a fork stood still");
    forkRunnings =
        histogram("podflare_fork_running_seconds", "From a fork's begin to its last child's run");
    merges =
        Counter.builder()
            .name("podflare_merges_total")
            .help("Merges applied, by mode")
            .labelNames("mode")
            .register(registry);
    freezes = counter("podflare_freezes_total", "Sandboxes frozen by a call");
    resumes = counter("podflare_resumes_total", "Sandboxes resumed from a Space by a call");
    terminalClients =
        Gauge.builder()
            .name("podflare_terminal_clients")
            .help("Clients that are attached to a terminal")
            .register(registry);
    terminalBytes = counter("podflare_terminal_output_bytes_total", "Bytes of terminals sent");
    templateBuilds = counter("podflare_template_builds_total", "Builds of templates begun");
    GaugeWithCallback.builder()
        .name("podflare_sandboxes")
        .help("Sandboxes that are not closed")
        .callback(gauge -> gauge.call(sandboxes.capacity().sandboxes()))
        .register(registry);
    GaugeWithCallback.builder()
        .name("podflare_prepared_ready")
        .help("MicroVMs that wait to become whatever a pool, a fork or a resume needs")
        .callback(gauge -> gauge.call(sandboxes.capacity().prepared().ready()))
        .register(registry);
    poolGauge("podflare_pool_ready", "MicroVMs that wait", sandboxes, Capacity.Pool::ready);
    poolGauge("podflare_pool_target", "MicroVMs that shall wait", sandboxes, Capacity.Pool::target);
  }

  private Counter counter(String name, String help) {
    return Counter.builder().name(name).help(help).register(registry);
  }

  private Histogram histogram(String name, String help) {
    return Histogram.builder()
        .name(name)
        .help(help)
        .classicOnly()
        .classicUpperBounds(.001, .0025, .005, .01, .015, .02, .025, .05, .1, .25, .5, 1, 5)
        .register(registry);
  }

  private void poolGauge(
      String name, String help, Sandboxes sandboxes, ToIntFunction<Capacity.Pool> value) {
    GaugeWithCallback.builder()
        .name(name)
        .help(help)
        .labelNames("template")
        .callback(gauge ->
            sandboxes
                .capacity()
                .pools()
                .forEach(pool -> gauge.call(value.applyAsInt(pool), pool.template())))
        .register(registry);
  }

  void answered(String method, String route, int status, long nanos) {
    requests.labelValues(method, route, String.valueOf(status)).inc();
    latencies.labelValues(method, route).observe(nanos / NANOS_PER_SECOND);
  }

  void created() {
    creates.inc();
  }

  void execOutput(long bytes) {
    outputBytes.inc(bytes);
  }

  void forked(Fork fork) {
    forks.inc();
    children.inc(fork.children().size());
    forkPauses.observe(fork.pause().toNanos() / NANOS_PER_SECOND);
    forkRunnings.observe(fork.running().toNanos() / NANOS_PER_SECOND);
  }

  void merged(MergeSandboxes.Mode mode) {
    merges.labelValues(Json.word(mode)).inc();
  }

  void froze() {
    freezes.inc();
  }

  void resumed() {
    resumes.inc();
  }

  void terminalAttached() {
    terminalClients.inc();
  }

  void terminalLeft() {
    terminalClients.dec();
  }

  void terminalOutput(long bytes) {
    terminalBytes.inc(bytes);
  }

  void templateBuildStarted() {
    templateBuilds.inc();
  }

  byte[] text() throws IOException {
    ByteArrayOutputStream text = new ByteArrayOutputStream();
    writer.write(text, registry.scrape(), EscapingScheme.UNDERSCORE_ESCAPING);
    return text.toByteArray();
  }
}
