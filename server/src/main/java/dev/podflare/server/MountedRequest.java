package dev.podflare.server;

import io.helidon.http.Status;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** A call as another module sees it. */
record MountedRequest(Call call, String method, String key) implements MountedCall {

  /** The routes of a mount: one for each of its methods. */
  static List<Route> routes(Mount mount) {
    return mount.methods().stream()
        .sorted()
        .map(method ->
            Route.keyed(
                method,
                mount.path(),
                call -> mount.answer(new MountedRequest(call, method, call.key().orElse("")))))
        .toList();
  }

  @Override
  public Optional<String> header(String name) {
    return call.header(name);
  }

  @Override
  public String owner() {
    return call.owner();
  }

  @Override
  public InetSocketAddress reachedAt() {
    return call.reachedAt();
  }

  @Override
  public byte[] body(int atMost) {
    return call.body(atMost);
  }

  @Override
  public void answer(int status, Map<String, String> headers, byte[] content) {
    call.answer(Status.create(status), headers, content);
  }

  @Override
  public OutputStream stream(int status, Map<String, String> headers) {
    return call.stream(Status.create(status), headers);
  }
}
