package dev.podflare.worker;

import dev.podflare.sdk.Client;
import dev.podflare.sdk.NotFoundException;
import dev.podflare.sdk.PodflareException;
import dev.podflare.sdk.Sandbox;
import dev.podflare.sdk.SandboxOptions;
import dev.podflare.sdk.SandboxState;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The sandbox of one session: the same for all its calls, also after a restart of the worker, which
 * finds it by its labels. It is persistent, so between two turns of a conversation it sleeps on
 * disk. Its calls run on one thread; any other may interrupt them.
 */
final class SessionSandbox {
  /** Beside {@link EnvironmentWorker#ENVIRONMENT_LABEL}, the label of a session's sandbox. */
  static final String SESSION_LABEL = "anthropic-session";

  private static final Logger LOG = System.getLogger(SessionSandbox.class.getPackageName());

  private final Client client;
  private final Wish wish;
  private final String environment;
  private final String session;
  private volatile @Nullable Sandbox sandbox;
  private volatile boolean isInterrupted;

  /**
   * What new sandboxes shall be.
   *
   * @param template what they are cloned from, or null for the server's default
   * @param egress whether they reach the internet
   * @param lifetime how long each lives at most, whatever becomes of its session
   */
  record Wish(@Nullable String template, boolean egress, Duration lifetime) {}

  SessionSandbox(Client client, Wish wish, String environment, String session) {
    this.client = client;
    this.wish = wish;
    this.environment = environment;
    this.session = session;
  }

  /**
   * The session's sandbox; a new one if it has none yet.
   *
   * @throws PodflareException it can't be had
   */
  Sandbox get() {
    Sandbox known = sandbox;
    if (known != null) {
      return known;
    }
    Sandbox found = find().stream().filter(each -> !isGone(each)).findFirst().orElse(null);
    if (found == null) {
      found = create();
      LOG.log(Level.INFO, "session {0}: created {1}", session, found.id());
    } else {
      LOG.log(Level.INFO, "session {0}: goes on in {1}", session, found.id());
    }
    sandbox = found;
    return found;
  }

  /** Whether the sandbox that was used is gone, so that the next call has a new one. */
  boolean isForgotten() {
    Sandbox known = sandbox;
    if (known == null || !isGone(known)) {
      return false;
    }
    LOG.log(Level.WARNING, "session {0}: {1} is gone", session, known.id());
    sandbox = null;
    return true;
  }

  /** A call begins: what was interrupted before it does not count. */
  void begin() {
    isInterrupted = false;
  }

  /** Whether the call was interrupted since it began, maybe before it had a sandbox. */
  boolean isInterrupted() {
    return isInterrupted;
  }

  /** Stops the code that runs, as Ctrl-C does; variables and files stay. */
  void interrupt() {
    isInterrupted = true;
    Sandbox known = sandbox;
    if (known == null) {
      return;
    }
    try {
      known.interrupt();
    } catch (PodflareException e) {
      LOG.log(
          Level.WARNING,
          "session {0}: what runs can''t be interrupted: {1}",
          session,
          e.getMessage());
    }
  }

  /** The session is over: nobody will ask for its sandbox again. */
  void close() {
    try {
      for (Sandbox each : find()) {
        each.close();
        LOG.log(Level.INFO, "session {0}: closed {1}", session, each.id());
      }
    } catch (PodflareException e) {
      LOG.log(
          Level.WARNING,
          "session {0}: its sandbox can''t be closed, and lives until its end of life: {1}",
          session,
          e.getMessage());
    }
  }

  private List<Sandbox> find() {
    return client.list(labels ->
        labels
            .metadata(SESSION_LABEL, session)
            .metadata(EnvironmentWorker.ENVIRONMENT_LABEL, environment));
  }

  private Sandbox create() {
    SandboxOptions.Builder options =
        SandboxOptions.builder()
            .egress(wish.egress())
            .persistent(true)
            .maxLifetime(wish.lifetime())
            .metadata(SESSION_LABEL, session)
            .metadata(EnvironmentWorker.ENVIRONMENT_LABEL, environment);
    if (wish.template() != null) {
      options.template(wish.template());
    }
    return client.create(options.build());
  }

  private static boolean isGone(Sandbox sandbox) {
    try {
      return sandbox.info().state() == SandboxState.LOST;
    } catch (NotFoundException closed) {
      return true;
    } catch (PodflareException unknown) {
      return false; // The next call meets it too, and says so to the model.
    }
  }
}
