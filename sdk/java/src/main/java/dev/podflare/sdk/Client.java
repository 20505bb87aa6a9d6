package dev.podflare.sdk;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A server, a key, and connections that are used again. Any number of threads may share one.
 *
 * {@snippet :
 * import dev.podflare.sdk.*;
 *
 * try (Client client = Client.builder().maxRetries(4).build();
 *     Sandbox sb = client.create(o -> o.metadata("job", "42"))) {
 *   System.out.println(client.list(f -> f.metadata("job", "42")).size());
 * }
 * }
 */
public final class Client implements AutoCloseable {
  private static final int PAGE = 100;

  private final Transport transport;
  private final Executor executor;
  private final boolean isShared;
  private final Templates templates;

  private Client(Transport transport, Executor executor, boolean isShared) {
    this.transport = transport;
    this.executor = executor;
    this.isShared = isShared;
    this.templates = new Templates(this);
  }

  /** Starts with what is configured on this machine. */
  public static Builder builder() {
    return new Builder();
  }

  /** The server's address. */
  public String host() {
    return transport.host();
  }

  /** Creates a sandbox and waits until it is ready. */
  public Sandbox create() {
    return create(SandboxOptions.defaults());
  }

  /**
   * Creates a sandbox as it is asked for, and waits until it is ready. If the connection breaks, it
   * is asked for again under the same key, so there is never a second one.
   *
   * @throws CapacityException the host has no room
   * @throws QuotaException this key may have no more
   * @throws InvalidRequestException an option is wrong; the text names it
   */
  public Sandbox create(SandboxOptions options) {
    String id = transport.json(options.call()).id("id");
    return new Sandbox(this, id, options.traceparent());
  }

  /** Creates a sandbox as it is asked for: {@code create(o -> o.egress(false))}. */
  public Sandbox create(Consumer<SandboxOptions.Builder> options) {
    SandboxOptions.Builder builder = SandboxOptions.builder();
    options.accept(builder);
    return create(builder.build());
  }

  /** {@link #create(SandboxOptions)} on another thread. */
  public CompletableFuture<Sandbox> createAsync(SandboxOptions options) {
    return async(() -> create(options));
  }

  /**
   * The sandbox with this id, which may have been created by another program.
   *
   * @throws NotFoundException there is none, or it belongs to another key
   */
  public Sandbox connect(String id) {
    Sandbox sandbox = new Sandbox(this, id, null);
    sandbox.info();
    return sandbox;
  }

  /** All sandboxes of this key, oldest first. */
  public List<Sandbox> list() {
    return list(SandboxFilter.builder().build());
  }

  /** Those that match: {@code list(f -> f.metadata("job", "42"))}. */
  public List<Sandbox> list(Consumer<SandboxFilter.Builder> filter) {
    SandboxFilter.Builder builder = SandboxFilter.builder();
    filter.accept(builder);
    return list(builder.build());
  }

  /** Those that match, oldest first. */
  public List<Sandbox> list(SandboxFilter filter) {
    List<Sandbox> found = new ArrayList<>();
    String cursor = null;
    do {
      Fields page = transport.json(Call.get("/v1/sandboxes" + filter.query(PAGE, cursor)));
      for (Fields each : page.list("sandboxes")) {
        found.add(new Sandbox(this, each.id("id"), null));
      }
      String next = page.textOrNull("next_cursor");
      if (next != null && next.equals(cursor)) {
        throw Failures.badAnswer("the server's list of sandboxes does not end", null);
      }
      cursor = next;
    } while (cursor != null);
    return found;
  }

  /** All Spaces of this key, oldest first. */
  public List<Space> spaces() {
    return transport.json(Call.get("/v1/spaces")).list("spaces").stream()
        .map(each -> new Space(this, each.id("id")))
        .toList();
  }

  /**
   * The Space with this id.
   *
   * @throws NotFoundException there is none, or it belongs to another key
   */
  public Space space(String id) {
    Space space = new Space(this, id);
    space.info();
    return space;
  }

  /** What sandboxes are cloned from. */
  public Templates templates() {
    return templates;
  }

  /**
   * Ends the connections once the calls that run have ended. Sandboxes live on, but can't be called
   * through this client any more. The client that {@link Podflare} shares stays open.
   */
  @Override
  public void close() {
    if (!isShared) {
      transport.close();
    }
  }

  Transport transport() {
    return transport;
  }

  Executor executor() {
    return executor;
  }

  <T> CompletableFuture<T> async(Supplier<T> call) {
    return CompletableFuture.supplyAsync(call, executor);
  }

  /** Builds a {@link Client}. */
  public static final class Builder {
    private @Nullable String host;
    private @Nullable String apiKey;
    private @Nullable Supplier<? extends @Nullable String> traceparent;
    private @Nullable Duration silenceTimeout = Duration.ofMinutes(2);
    private int maxRetries = 2;
    private Executor executor = Threads.BLOCKING;
    private Map<String, String> environment = System.getenv();

    private Builder() {}

    /** The server's address, such as {@code http://127.0.0.1:7070}. */
    public Builder host(String host) {
      this.host = host;
      return this;
    }

    /** The key that opens it. */
    public Builder apiKey(String apiKey) {
      this.apiKey = apiKey;
      return this;
    }

    /** A W3C trace context that goes with each call; else {@code PODFLARE_TRACEPARENT}. */
    public Builder traceparent(String traceparent) {
      String valid = Settings.validTraceparent(traceparent);
      this.traceparent = () -> valid;
      return this;
    }

    /** The same, asked for at each call, on its thread: a tracer knows what runs there. */
    public Builder traceparent(Supplier<? extends @Nullable String> traceparent) {
      this.traceparent = traceparent;
      return this;
    }

    /**
     * How long the server may stay silent before a {@link RequestTimeoutException}; two minutes by
     * default. Code that runs may always be silent: it has a time-out of its own.
     */
    public Builder silenceTimeout(Duration silenceTimeout) {
      this.silenceTimeout = silenceTimeout;
      return this;
    }

    /**
     * How often a call is sent again whose connection broke, if that can't do its work twice; 2 by
     * default, 0 for never.
     */
    public Builder maxRetries(int maxRetries) {
      this.maxRetries = maxRetries;
      return this;
    }

    /** Runs the calls whose name ends with {@code Async}; virtual threads by default. */
    public Builder executor(Executor executor) {
      this.executor = executor;
      return this;
    }

    /** For tests of the lookup. */
    Builder environment(Map<String, String> environment) {
      this.environment = environment;
      return this;
    }

    /**
     * The client. It connects at the first call.
     *
     * @throws AuthenticationException nothing is configured; the text says how to get a key
     */
    public Client build() {
      return build(Settings.resolve(host, apiKey, null, environment), false);
    }

    Client shared(Settings settings) {
      return build(settings, true);
    }

    private Client build(Settings settings, boolean isShared) {
      Supplier<? extends @Nullable String> trace =
          traceparent == null ? settings::traceparent : traceparent;
      Transport transport = new Transport(settings, silenceTimeout, Math.max(0, maxRetries), trace);
      return new Client(transport, executor, isShared);
    }
  }
}
