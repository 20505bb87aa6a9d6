package dev.podflare.sdk;

import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What a new sandbox shall be. What is null is left to the server.
 *
 * {@snippet :
 * import dev.podflare.sdk.*;
 * import java.time.Duration;
 *
 * SandboxOptions options =
 *     SandboxOptions.builder()
 *         .egress(false)
 *         .idleTimeout(Duration.ofMinutes(1))
 *         .env("STAGE", "test")
 *         .metadata("task", "summary")
 *         .build();
 * try (Sandbox sb = Podflare.create(options)) {
 *   sb.run("import os; print(os.environ['STAGE'])");
 * }
 * }
 *
 * @param template what it is cloned from: {@code default}, {@code python-datasci}, or your own
 * @param egress whether it reaches the internet; never the host or private networks
 * @param egressAllowed if not null, it reaches these names and networks only
 * @param persistent whether it is frozen when it is idle, in place of being destroyed
 * @param idleTimeout how long after its last call it lives
 * @param maxLifetime how long after its creation it lives at most
 * @param cpus how many processors it has
 * @param memoryMb its memory in megabytes
 * @param diskMb its disk in megabytes
 * @param env environment variables of all its processes
 * @param metadata your own labels, to find it again
 * @param autoInstall whether pip installs what a cell imports and is not there
 * @param idempotencyKey the same key again makes no second sandbox; a new one by default
 * @param traceparent a W3C trace context that goes with each call of this sandbox
 */
public record SandboxOptions(
    @Nullable String template,
    boolean egress,
    @Nullable List<String> egressAllowed,
    boolean persistent,
    @Nullable Duration idleTimeout,
    @Nullable Duration maxLifetime,
    @Nullable Integer cpus,
    @Nullable Integer memoryMb,
    @Nullable Integer diskMb,
    Map<String, String> env,
    Map<String, String> metadata,
    boolean autoInstall,
    @Nullable String idempotencyKey,
    @Nullable String traceparent) {
  private static final SandboxOptions DEFAULTS = builder().build();

  public SandboxOptions {
    egressAllowed = egressAllowed == null ? null : List.copyOf(egressAllowed);
    env = Map.copyOf(env);
    metadata = Map.copyOf(metadata);
  }

  /** The server's defaults. */
  public static SandboxOptions defaults() {
    return DEFAULTS;
  }

  /** Starts with the defaults. */
  public static Builder builder() {
    return new Builder();
  }

  Call call() {
    Map<String, @Nullable Object> fields = Call.fields();
    fields.put("template", template);
    fields.put("egress", egressAllowed == null ? egress : Map.of("allow", egressAllowed));
    fields.put("persistent", persistent ? true : null);
    fields.put("idle_timeout_seconds", seconds(idleTimeout));
    fields.put("max_lifetime_seconds", seconds(maxLifetime));
    fields.put("cpus", cpus);
    fields.put("memory_mb", memoryMb);
    fields.put("disk_mb", diskMb);
    fields.put("env", env.isEmpty() ? null : env);
    fields.put("metadata", metadata.isEmpty() ? null : metadata);
    fields.put("auto_install", autoInstall ? true : null);
    return Call.post("/v1/sandboxes", fields).keyed(idempotencyKey).traced(traceparent);
  }

  static @Nullable Double seconds(@Nullable Duration duration) {
    return duration == null ? null : duration.getSeconds() + duration.getNano() / 1e9;
  }

  /** Builds {@link SandboxOptions}. */
  public static final class Builder {
    private @Nullable String template;
    private boolean egress = true;
    private @Nullable List<String> egressAllowed;
    private boolean persistent;
    private @Nullable Duration idleTimeout;
    private @Nullable Duration maxLifetime;
    private @Nullable Integer cpus;
    private @Nullable Integer memoryMb;
    private @Nullable Integer diskMb;
    private final Map<String, String> env = new LinkedHashMap<>();
    private final Map<String, String> metadata = new LinkedHashMap<>();
    private boolean autoInstall;
    private @Nullable String idempotencyKey;
    private @Nullable String traceparent;

    private Builder() {}

    /** What it is cloned from: {@code default}, {@code python-datasci}, or one of your own. */
    public Builder template(String template) {
      this.template = template;
      return this;
    }

    /** Whether it reaches the internet. */
    public Builder egress(boolean egress) {
      this.egress = egress;
      this.egressAllowed = null;
      return this;
    }

    /** Lets it reach these names and networks only, such as {@code *.example.org}. */
    public Builder egressTo(String... allowed) {
      this.egressAllowed = List.of(allowed);
      return this;
    }

    /** Freezes it when it is idle in place of destroying it; the next call wakes it. */
    public Builder persistent(boolean persistent) {
      this.persistent = persistent;
      return this;
    }

    /** How long after its last call it lives; the server's default is five minutes. */
    public Builder idleTimeout(Duration idleTimeout) {
      this.idleTimeout = idleTimeout;
      return this;
    }

    /** How long after its creation it lives at most; there is no limit by default. */
    public Builder maxLifetime(Duration maxLifetime) {
      this.maxLifetime = maxLifetime;
      return this;
    }

    /** How many processors it has. */
    public Builder cpus(int cpus) {
      this.cpus = cpus;
      return this;
    }

    /** Its memory in megabytes. */
    public Builder memoryMb(int memoryMb) {
      this.memoryMb = memoryMb;
      return this;
    }

    /** Its disk in megabytes. */
    public Builder diskMb(int diskMb) {
      this.diskMb = diskMb;
      return this;
    }

    /** Adds an environment variable of all its processes. */
    public Builder env(String name, String value) {
      env.put(name, value);
      return this;
    }

    /** Adds environment variables. */
    public Builder env(Map<String, String> variables) {
      env.putAll(variables);
      return this;
    }

    /** Adds a label of your own. */
    public Builder metadata(String name, String value) {
      metadata.put(name, value);
      return this;
    }

    /** Adds labels of your own. */
    public Builder metadata(Map<String, String> labels) {
      metadata.putAll(labels);
      return this;
    }

    /**
     * Whether pip installs what a cell imports and is not there; stderr says so. A cell whose
     * import fails only while it runs is run again from its beginning.
     */
    public Builder autoInstall(boolean autoInstall) {
      this.autoInstall = autoInstall;
      return this;
    }

    /**
     * Under this key the server makes one sandbox, however often it is asked within a day. Each
     * create has a new key unless this gives one.
     */
    public Builder idempotencyKey(String idempotencyKey) {
      this.idempotencyKey = idempotencyKey;
      return this;
    }

    /** A W3C trace context that goes with each call of this sandbox, in place of the client's. */
    public Builder traceparent(String traceparent) {
      this.traceparent = Settings.validTraceparent(traceparent);
      return this;
    }

    /** The options. */
    public SandboxOptions build() {
      return new SandboxOptions(
          template,
          egress,
          egressAllowed == null ? null : new ArrayList<>(egressAllowed),
          persistent,
          idleTimeout,
          maxLifetime,
          cpus,
          memoryMb,
          diskMb,
          env,
          metadata,
          autoInstall,
          idempotencyKey,
          traceparent);
    }
  }
}
