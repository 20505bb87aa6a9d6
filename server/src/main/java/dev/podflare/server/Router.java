package dev.podflare.server;

import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * Finds the route of a request.
 *
 * <p>It compares the path as it came, with nothing decoded or normalized: no byte of a path that
 * this server knows is ever written in another way, so {@code %2e%2e} and {@code ..} simply match
 * nothing.
 */
final class Router {

  private record Entry(Route route, List<String> segments) {}

  /** What a path leads to. */
  sealed interface Match {}

  /**
   * @param parameters what stands in the path, unchecked, by the names of the route
   */
  record Found(Route route, Map<String, String> parameters) implements Match {}

  /** The path is known, and not by this method. */
  record WrongMethod(String path, String allowed) implements Match {}

  record Nowhere() implements Match {}

  private final List<Entry> entries;

  Router(List<Route> routes) {
    this.entries = routes.stream().map(route -> new Entry(route, route.segments())).toList();
  }

  Match find(String method, String path) {
    List<String> segments = Route.segmentsOf(path);
    for (Entry entry : entries) {
      if (entry.route().method().equals(method) && Route.matches(entry.segments(), segments)) {
        return new Found(entry.route(), Route.parametersIn(entry.segments(), segments));
      }
    }
    List<Route> others =
        entries.stream()
            .filter(entry -> Route.matches(entry.segments(), segments))
            .map(Entry::route)
            .toList();
    return others.isEmpty()
        ? new Nowhere()
        : new WrongMethod(
            others.getFirst().path(),
            others.stream().map(Route::method).sorted().collect(Collectors.joining(", ")));
  }
}
