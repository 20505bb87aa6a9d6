package dev.podflare.worker;

import dev.podflare.sdk.Client;
import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * Serves one self-hosted environment of the provider: takes sessions from its queue, and runs their
 * tool calls in sandboxes of a Podflare server. {@link #run} may be called once; any thread may
 * call {@link #stop}.
 */
public final class EnvironmentWorker {
  /** Where the provider's API is, unless something else is said. */
  public static final String PROVIDER = "https://api.anthropic.com";

  /** The label of all sandboxes that an environment's sessions have; its value is the id. */
  public static final String ENVIRONMENT_LABEL = "anthropic-environment";

  private static final Logger LOG = System.getLogger(EnvironmentWorker.class.getPackageName());

  private static final Duration FIRST_RETRY = Duration.ofSeconds(1);
  private static final Duration LONGEST_RETRY = Duration.ofMinutes(1);

  /** How long between two polls that found nothing. */
  private static final Duration SHORTEST_PAUSE = Duration.ofSeconds(1);

  private static final Duration LONGEST_PAUSE = Duration.ofSeconds(3);

  /** The same for a worker that is woken by webhooks, some of which may get lost. */
  private static final Duration PAUSE_WITH_WEBHOOKS = Duration.ofMinutes(1);

  /** How long after a webhook the queue is looked at as often as without them. */
  private static final Duration AFTER_A_WEBHOOK = Duration.ofSeconds(15);

  /** How long the poll that is under way may go on once the worker stops. */
  private static final Duration LAST_POLL = Duration.ofSeconds(2);

  /** How long a call may go on once the worker stops. */
  private static final Duration GRACE = Duration.ofSeconds(5);

  private static final Duration BETWEEN_INTERRUPTS = Duration.ofSeconds(2);
  private static final int MOST_INTERRUPTS = 5;

  private final Settings settings;
  private final Client client;
  private final Ticker ticker = System::nanoTime;
  private final RandomGenerator random = () -> ThreadLocalRandom.current().nextLong();
  private final CountDownLatch stop = new CountDownLatch(1);
  private final Bell bell = new Bell();
  private final Map<String, SessionRun> running = new ConcurrentHashMap<>();

  /** By session, since a lost item may come back while its calls still end. */
  private final Map<String, CountDownLatch> turns = new ConcurrentHashMap<>();

  /** A place for each session that may be served at once. */
  private final Semaphore free;

  private volatile @Nullable ProviderException failure;

  /**
   * What a worker is told.
   *
   * @param provider where the provider's API is
   * @param environment the environment's id
   * @param key what opens its queue
   * @param maxSessions how many sessions are served at once, 1 to 64
   * @param maxIdle how long after a turn's end it waits for the next one before it lets a session
   *     go, more than zero; the sandbox stays
   * @param template what sandboxes are cloned from, or null for the server's default
   * @param egress whether sandboxes reach the internet
   * @param lifetime how long a sandbox lives at most, more than zero
   * @param customTools which of the agent's own tools are answered: {@code run_python}, {@code
   *     run_bash}, or none
   * @param gitHost where repositories are cloned from
   * @param cache a directory for what is downloaded more than once; it is created
   * @param webhooks where the provider can wake the worker, or null
   */
  public record Settings(
      ProviderAddress provider,
      String environment,
      EnvironmentKey key,
      int maxSessions,
      Duration maxIdle,
      @Nullable String template,
      boolean egress,
      Duration lifetime,
      Set<String> customTools,
      GitHost gitHost,
      Path cache,
      @Nullable WebhookEndpoint webhooks) {
    /**
     * Checks them.
     *
     * @throws IllegalArgumentException one is not as said above; the text is for a person
     */
    public Settings {
      customTools = Set.copyOf(customTools);
      if (!Json.isId(environment)) {
        throw new IllegalArgumentException(
            environment.isEmpty()
                ? "say which environment: --environment ID, or ANTHROPIC_ENVIRONMENT_ID"
                : "\"" + environment + "\" is no id of an environment; it looks like env_01…");
      }
      if (maxSessions < 1 || maxSessions > 64) {
        throw new IllegalArgumentException("a worker serves 1 to 64 sessions, not " + maxSessions);
      }
      if (!maxIdle.isPositive() || !lifetime.isPositive()) {
        throw new IllegalArgumentException(
            "how long a session is kept, and how long its sandbox lives, must be more than nothing");
      }
      if (!AgentTools.CUSTOM_NAMES.containsAll(customTools)) {
        throw new IllegalArgumentException(
            "custom tools that a worker can answer are run_python and run_bash, not "
                + String.join(", ", customTools));
      }
    }
  }

  /** A worker that makes its sandboxes through this client, which stays the caller's to close. */
  public EnvironmentWorker(Settings settings, Client client) {
    this.settings = settings;
    this.client = client;
    this.free = new Semaphore(settings.maxSessions());
  }

  /**
   * Serves until it is stopped; then lets each call that runs end for a few seconds, and gives back
   * what is not done. An interrupt stops it too.
   *
   * @throws IllegalStateException the provider refuses the key or the environment, or webhooks
   *     can't be listened for; the text is for a person
   */
  public void run() {
    WebhookEndpoint endpoint = settings.webhooks();
    if (endpoint == null) {
      serve();
      return;
    }
    try (Webhooks _ = new Webhooks(endpoint, InstantSource.system(), bell::ring)) {
      serve();
    } catch (IOException taken) {
      throw new IllegalStateException(
          "webhooks can't be listened for at "
              + endpoint.address()
              + ": "
              + taken.getMessage()
              + "; name another address of this machine with --webhook-addr",
          taken);
    }
  }

  private void serve() {
    try (Provider provider = new Provider(settings.provider());
        ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      WorkQueue queue = new WorkQueue(provider, settings.environment(), settings.key(), workerId());
      Future<?> polling = threads.submit(() -> poll(provider, queue, threads));
      try {
        stop.await();
        // It is in the middle of a call, and an item that it just took must not get lost.
        polling.get(LAST_POLL.toMillis(), TimeUnit.MILLISECONDS);
      } catch (InterruptedException interrupted) {
        stop.countDown();
      } catch (TimeoutException | ExecutionException hangs) {
        LOG.log(Level.DEBUG, "the last poll does not end", hangs);
      }
      polling.cancel(true);
      endSessions();
    }
    ProviderException refused = failure;
    if (refused != null) {
      throw new IllegalStateException(inWords(refused), refused);
    }
  }

  /** Makes {@link #run} end soon. */
  public void stop() {
    stop.countDown();
    bell.ring();
  }

  private void endSessions() {
    running.values().forEach(SessionRun::stop);
    try {
      Duration wait = GRACE;
      // Again and again: an interrupt that comes just before the code begins stops nothing.
      for (int i = 0; i < MOST_INTERRUPTS; i++) {
        if (free.tryAcquire(settings.maxSessions(), wait.toMillis(), TimeUnit.MILLISECONDS)) {
          return;
        }
        running.values().forEach(SessionRun::interrupt);
        wait = BETWEEN_INTERRUPTS;
      }
    } catch (InterruptedException hurried) {
      running.values().forEach(SessionRun::interrupt);
    }
  }

  private void poll(Provider provider, WorkQueue queue, ExecutorService threads) {
    Backoff backoff = new Backoff(FIRST_RETRY, LONGEST_RETRY, random);
    boolean isReached = false;
    long eagerUntil = ticker.nanos();
    try {
      while (stop.getCount() > 0) {
        free.acquire();
        Duration pause = Duration.ZERO;
        boolean isIdle = false;
        boolean isTaken = false;
        try {
          Optional<WorkItem> work = take(queue);
          if (!isReached) {
            LOG.log(Level.INFO, "environment {0}: waiting for work", settings.environment());
          }
          isReached = true;
          backoff.reset();
          isTaken = work.isPresent();
          isIdle = !isTaken;
          work.ifPresentOrElse(
              item -> threads.execute(() -> serve(provider, queue, item)), () -> {});
          pause = isTaken ? pause : pauseOfAnIdleQueue(eagerUntil - ticker.nanos() > 0);
        } catch (ProviderException e) {
          if (e.isRefusal()) {
            failure = e;
            stop.countDown();
            return;
          }
          isReached = false;
          pause = backoff.next(e.retryAfter());
          LOG.log(
              Level.WARNING,
              "no work can be had; trying again in {0} s: {1}",
              pause.toSeconds(),
              e.getMessage());
        } finally {
          if (!isTaken) {
            free.release();
          }
        }
        if (!isIdle) {
          boolean _ = stop.await(pause.toMillis(), TimeUnit.MILLISECONDS);
        } else if (bell.await(pause)) {
          eagerUntil = ticker.nanos() + AFTER_A_WEBHOOK.toNanos();
        }
      }
    } catch (InterruptedException stopped) {
      Thread.currentThread().interrupt();
    }
  }

  /** The next item, acknowledged; nothing if there is none, or another worker was faster. */
  private Optional<WorkItem> take(WorkQueue queue) throws ProviderException, InterruptedException {
    Optional<WorkItem> work = queue.poll();
    if (stop.getCount() == 0) {
      return Optional.empty(); // Who is not told that it was taken gives it to another worker.
    }
    if (work.isPresent()) {
      try {
        queue.acknowledge(work.get());
      } catch (ProviderException e) {
        if (e.isUnauthorized()) {
          throw e;
        }
        LOG.log(
            Level.WARNING,
            "work {0}: it can''t be acknowledged, so it stays in the queue: {1}",
            work.get().id(),
            e.getMessage());
        return Optional.empty();
      }
    }
    return work;
  }

  private void serve(Provider provider, WorkQueue queue, WorkItem item) {
    try {
      if (item.isSession()) {
        serveSession(provider, queue, item);
      } else {
        LOG.log(Level.INFO, "work {0}: nothing to do for a {1}", item.id(), item.type());
        end(queue, item, SessionRun.Outcome.IDLE, WorkQueue.NO_HEARTBEAT);
      }
    } catch (InterruptedException stopped) {
      Thread.currentThread().interrupt();
    } catch (RuntimeException defect) {
      LOG.log(Level.ERROR, "work " + item.id() + ": something broke that should not", defect);
    } finally {
      free.release();
    }
  }

  private void serveSession(Provider provider, WorkQueue queue, WorkItem item)
      throws InterruptedException {
    SessionSandbox sandbox =
        new SessionSandbox(
            client,
            new SessionSandbox.Wish(settings.template(), settings.egress(), settings.lifetime()),
            settings.environment(),
            item.subject());
    SessionMounts mounts = mounts(provider, item.subject(), queue.credential(item));
    SessionRun run =
        new SessionRun(
            queue,
            item,
            new Session(provider, item.subject(), queue.credential(item)),
            sandbox,
            mounts,
            new AgentTools(sandbox, settings.customTools(), mounts::isReadOnly),
            settings.maxIdle(),
            ticker,
            random);
    CountDownLatch turn = new CountDownLatch(1);
    CountDownLatch before;
    while ((before = turns.putIfAbsent(item.subject(), turn)) != null) {
      // The same session, under an item whose lease ended: its last call ends first.
      before.await();
    }
    running.put(item.id(), run);
    SessionRun.Outcome outcome;
    try {
      if (stop.getCount() == 0) {
        run.stop();
      }
      outcome = run.serve();
    } finally {
      running.remove(item.id());
      turns.remove(item.subject(), turn);
      turn.countDown();
    }
    LOG.log(Level.INFO, "session {0}: {1}", item.subject(), inWords(outcome));
    if (outcome == SessionRun.Outcome.SESSION_ENDED) {
      sandbox.close();
    }
    end(queue, item, outcome, run.lastHeartbeat());
  }

  private SessionMounts mounts(Provider provider, String session, String credential) {
    SkillCache cache =
        new SkillCache(
            settings.cache().resolve("skills"), settings.environment(), InstantSource.system());
    return new SessionMounts(
        session,
        new SessionMounts.Tools(
            new Skills(provider, credential, cache),
            new FileMounts(provider, credential),
            new RepositoryMounts(settings.gitHost())),
        store -> new RemoteStore(provider, credential, store.id()),
        ticker,
        random);
  }

  private static void end(
      WorkQueue queue, WorkItem item, SessionRun.Outcome outcome, String lastHeartbeat)
      throws InterruptedException {
    try {
      switch (outcome) {
        case IDLE, SESSION_ENDED, FAILED -> queue.stop(item);
        case GIVEN_BACK -> queue.giveBack(item, lastHeartbeat);
        case LEASE_ENDED -> {} // It is another's, or nobody's.
      }
    } catch (ProviderException e) {
      if (e.status() != 409) { // Which says that it was ended already.
        LOG.log(
            Level.WARNING,
            "work {0}: the provider does not hear that it ends here: {1}",
            item.id(),
            e.getMessage());
      }
    }
  }

  private static String inWords(SessionRun.Outcome outcome) {
    return switch (outcome) {
      case IDLE -> "idle, so it is let go; its sandbox stays";
      case SESSION_ENDED -> "over";
      case GIVEN_BACK -> "given back, since this worker stops";
      case LEASE_ENDED -> "no longer this worker's";
      case FAILED -> "left";
    };
  }

  private String inWords(ProviderException refused) {
    if (refused.isUnauthorized()) {
      return "the provider does not accept the environment key for "
          + settings.environment()
          + "; generate a new one for this environment in its console, and set "
          + EnvironmentKey.VARIABLE
          + " ("
          + refused.getMessage()
          + ")";
    }
    if (refused.status() == 404) {
      return "the provider knows no environment "
          + settings.environment()
          + "; look its id up in the provider's console ("
          + refused.getMessage()
          + ")";
    }
    return "the provider refuses to give work: " + refused.getMessage();
  }

  private Duration pauseOfAnIdleQueue(boolean isEager) {
    if (settings.webhooks() != null && !isEager) {
      return PAUSE_WITH_WEBHOOKS;
    }
    long span = LONGEST_PAUSE.toMillis() - SHORTEST_PAUSE.toMillis();
    return SHORTEST_PAUSE.plusMillis(random.nextLong(span + 1));
  }

  private static String workerId() {
    return "podflare-" + UUID.randomUUID();
  }
}
