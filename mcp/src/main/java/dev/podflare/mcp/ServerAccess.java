package dev.podflare.mcp;

/** How the Podflare server is found whose sandboxes the tools use. */
public interface ServerAccess {

  /**
   * Asked at every call, so that what its user sets right is found without a new start.
   *
   * @throws NoServerException if there is none that could be asked
   */
  Server find() throws NoServerException;

  /** Always the same server. */
  static ServerAccess to(String url, String key) {
    Server server = new Server(url, key);
    return () -> server;
  }

  /**
   * A server.
   *
   * @param url such as http://127.0.0.1:7070
   * @param key its API key; empty if it asks for none
   */
  record Server(String url, String key) {}

  /** No server is configured. The message is a sentence for whoever could configure one. */
  final class NoServerException extends Exception {
    private static final long serialVersionUID = 1L;

    public NoServerException(String message) {
      super(message);
    }
  }
}
