package dev.podflare.server;

import io.helidon.http.HeaderNames;
import io.helidon.http.ServerRequestHeaders;
import java.util.List;
import java.util.Optional;

/** Decides who is let in, and whose sandboxes a request may see. */
final class Admission {

  private static final String SCHEME = "Bearer ";

  /** What a subprotocol begins with that is a key, from clients that can set no header. */
  private static final String KEY_PROTOCOL = "podflare.bearer.";

  private final ApiKeys keys;

  Admission(ApiKeys keys) {
    this.keys = keys;
  }

  /**
   * Keeps web pages out of a server that asks for no keys. A page on another site can make the
   * user's browser call 127.0.0.1; the browser then says where the page is from in {@code Origin},
   * or, if the page's own name was rebound to 127.0.0.1, in {@code Host}. With keys there is no
   * such hazard, since no page knows one.
   *
   * @throws ApiError 403 if a web page is behind this request
   */
  void requireOwnSite(ServerRequestHeaders headers) {
    if (keys.required()) {
      return;
    }
    boolean foreign =
        headers.contains(HeaderNames.ORIGIN)
            || !isLoopbackName(headers.first(HeaderNames.HOST).orElse(""));
    if (foreign) {
      throw ApiError.of(
          ErrorCode.FOREIGN_SITE,
          "A server without API keys does not answer web pages, nor other host names.",
          "Call http://127.0.0.1 from a program, or start the server with PODFLARE_API_KEYS.");
    }
  }

  /**
   * The same for a WebSocket, whose key may stand among the subprotocols: browsers set no headers.
   *
   * @throws ApiError 401 if the key is missing or wrong
   */
  String ownerOf(ServerRequestHeaders headers, List<String> protocols) {
    Optional<String> key =
        protocols.stream()
            .filter(protocol -> protocol.startsWith(KEY_PROTOCOL))
            .map(protocol -> protocol.substring(KEY_PROTOCOL.length()))
            .findFirst();
    return !keys.required() || key.isEmpty() || headers.contains(HeaderNames.AUTHORIZATION)
        ? ownerOf(headers)
        : ownerOf(key.get());
  }

  /**
   * @throws ApiError 401 if the key is missing or wrong
   */
  String ownerOf(ServerRequestHeaders headers) {
    if (!keys.required()) {
      return keys.ownerWithoutKeys();
    }
    return ownerOf(
        keyIn(headers)
            .orElseThrow(() ->
                ApiError.of(
                    ErrorCode.MISSING_API_KEY,
                    "missing Authorization: Bearer <key>",
                    "Send the api_key of the credentials file that the server wrote at its first"
                        + " start.")));
  }

  private String ownerOf(String key) {
    return keys.ownerOf(key)
        .orElseThrow(() ->
            ApiError.of(
                ErrorCode.INVALID_API_KEY,
                "invalid api key",
                "Compare it with the credentials file, or with the server's PODFLARE_API_KEYS."));
  }

  /** The key that a request shows, checked or not. */
  static Optional<String> keyIn(ServerRequestHeaders headers) {
    return headers
        .first(HeaderNames.AUTHORIZATION)
        .filter(header -> header.regionMatches(true, 0, SCHEME, 0, SCHEME.length()))
        .map(header -> header.substring(SCHEME.length()).strip());
  }

  private static boolean isLoopbackName(String host) {
    String name = host.replaceFirst(":[0-9]+$", "");
    return name.equals("localhost")
        || name.equals("[::1]")
        || name.matches("127(\\.[0-9]{1,3}){3}");
  }
}
