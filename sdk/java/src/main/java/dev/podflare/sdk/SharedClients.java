package dev.podflare.sdk;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** One client for each configuration, for as long as the program runs. */
final class SharedClients {
  /** Of a program that changes its configuration all the time, the older ones are let go. */
  private static final int MOST = 32;

  private static final Map<Settings, Client> CLIENTS = new ConcurrentHashMap<>();

  private SharedClients() {}

  static Client get() {
    Settings settings = Settings.resolve(null, null, null, System.getenv());
    if (CLIENTS.size() >= MOST && !CLIENTS.containsKey(settings)) {
      CLIENTS.clear(); // Their sandboxes still have them.
    }
    return CLIENTS.computeIfAbsent(settings, one -> Client.builder().shared(one));
  }
}
