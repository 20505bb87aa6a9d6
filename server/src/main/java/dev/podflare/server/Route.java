package dev.podflare.server;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * One call of the API.
 *
 * @param path with a name in braces where an id stands, as the API's description writes it
 * @param open whether it needs no key
 */
record Route(String method, String path, boolean open, Endpoint endpoint) {

  /** Answers one request. */
  @FunctionalInterface
  interface Endpoint {
    /** Runs on a virtual thread, and may block. An exception becomes an error answer. */
    void answer(Call call) throws Exception;
  }

  static Route keyed(String method, String path, Endpoint endpoint) {
    return new Route(method, path, false, endpoint);
  }

  static Route open(String method, String path, Endpoint endpoint) {
    return new Route(method, path, true, endpoint);
  }

  List<String> segments() {
    return segmentsOf(path);
  }

  /** Splits a path at its slashes, keeping empty parts, and decoding nothing. */
  static List<String> segmentsOf(String path) {
    return List.of(path.split("/", -1));
  }

  /** Whether a request's path, in segments, is one of this route's. */
  static boolean matches(List<String> pattern, List<String> path) {
    if (pattern.size() != path.size()) {
      return false;
    }
    for (int i = 0; i < pattern.size(); i++) {
      if (!isParameter(pattern.get(i)) && !pattern.get(i).equals(path.get(i))) {
        return false;
      }
    }
    return true;
  }

  /** What stands in a path that matches, by the pattern's names without their braces. */
  static Map<String, String> parametersIn(List<String> pattern, List<String> path) {
    Map<String, String> parameters = new HashMap<>();
    for (int i = 0; i < pattern.size(); i++) {
      String name = pattern.get(i);
      if (isParameter(name)) {
        parameters.put(name.substring(1, name.length() - 1), path.get(i));
      }
    }
    return parameters;
  }

  private static boolean isParameter(String segment) {
    return segment.startsWith("{");
  }
}
