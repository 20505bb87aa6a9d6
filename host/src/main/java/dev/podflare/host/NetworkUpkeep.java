package dev.podflare.host;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * Keeps the networks of a server's microVMs in step with their host while they live: its resolvers
 * change, and its firewall is set up anew.
 *
 * <p>The resolvers' files are read again every second rather than watched. What is at their path is
 * a link on many hosts and a mount in a container, of which the kernel reports no change.
 */
public final class NetworkUpkeep implements AutoCloseable {

  private static final System.Logger LOG = System.getLogger(NetworkUpkeep.class.getName());
  private static final Duration PERIOD = Duration.ofSeconds(1);

  /** Rules are set by a program of which each takes a processor for some milliseconds. */
  private static final int AT_ONCE = 4;

  private final HostResolvers resolvers;
  private final FirewallChanges changes;

  /** One that is closed is forgotten when it is looked for, or when its lease has a new one. */
  private final Map<Lease, SandboxNetwork> networks = new ConcurrentHashMap<>();

  private final Thread thread;
  private boolean changed = true;
  private Optional<String> trouble = Optional.empty();

  private NetworkUpkeep(HostResolvers resolvers, FirewallChanges changes) {
    this.resolvers = resolvers;
    this.changes = changes;
    this.thread = Thread.ofVirtual().name("network-upkeep").unstarted(this::run);
  }

  /** Begins with the host's resolvers and no network. */
  public static NetworkUpkeep start() throws HostException {
    return start(HostResolvers.ofHost());
  }

  static NetworkUpkeep start(HostResolvers resolvers) throws HostException {
    NetworkUpkeep upkeep = new NetworkUpkeep(resolvers, FirewallChanges.watch());
    upkeep.thread.start();
    return upkeep;
  }

  /** Builds a network with the way to the outside open, and looks after it from then on. */
  public SandboxNetwork open(Lease lease) throws HostException {
    SandboxNetwork network = SandboxNetwork.open(lease, resolvers.addresses());
    networks.put(lease, network);
    return network;
  }

  /** Looks after a network that an earlier process built, maybe by an older version of this. */
  public void takeOver(Lease lease) throws HostException {
    SandboxNetwork network = SandboxNetwork.existing(lease);
    network.renew(resolvers.addresses());
    networks.put(lease, network);
  }

  private void run() {
    try {
      while (true) {
        Thread.sleep(PERIOD);
        lookAfterAll();
      }
    } catch (InterruptedException closed) {
      Thread.currentThread().interrupt();
    }
  }

  private void lookAfterAll() {
    Optional<String> failure = Optional.empty();
    networks.values().removeIf(network -> !network.isOpen());
    try {
      changed |= changes.any();
      if (changed && !networks.isEmpty()) {
        SandboxNetwork.restoreHost();
        changed = false;
      }
      followResolvers(resolvers.addresses());
    } catch (HostException e) {
      failure = Optional.of(String.valueOf(e.getMessage()));
    }
    // What does not work is tried again, and said once.
    if (!failure.equals(trouble) && !Thread.currentThread().isInterrupted()) {
      failure.ifPresent(why ->
          LOG.log(
              System.Logger.Level.WARNING,
              "sandboxes' networks are not in step with the host: " + why));
      trouble = failure;
    }
  }

  private void followResolvers(List<String> now) throws HostException {
    Queue<HostException> failures = new ConcurrentLinkedQueue<>();
    try (ExecutorService some =
        Executors.newFixedThreadPool(AT_ONCE, Thread.ofVirtual().factory())) {
      for (SandboxNetwork network : networks.values()) {
        if (!network.follows(now)) {
          some.execute(() -> follow(network, now, failures));
        }
      }
    }
    HostException failure = failures.peek();
    if (failure != null) {
      throw failure;
    }
  }

  private static void follow(
      SandboxNetwork network, List<String> resolvers, Queue<HostException> failures) {
    try {
      network.followResolvers(resolvers);
    } catch (HostException e) {
      if (network.isOpen()) {
        failures.add(e);
      }
    }
  }

  @Override
  public void close() {
    thread.interrupt();
    try {
      thread.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    changes.close();
  }
}
