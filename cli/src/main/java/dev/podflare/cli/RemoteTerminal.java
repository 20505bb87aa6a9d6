package dev.podflare.cli;

import java.io.FileOutputStream;
import java.io.IOException;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** A terminal in a sandbox, at the other end of a WebSocket. */
final class RemoteTerminal implements WebSocket.Listener {

  /** How a connection to a terminal ends. */
  sealed interface End {
    /** The program has. */
    record Exit(int code, boolean killed) implements End {}

    /** We have gone. */
    record Detached() implements End {}

    /** The server has closed it. */
    record Closed(int code, String reason) implements End {}

    record Broken(String why) implements End {}
  }

  private static final JsonMapper JSON = JsonMapper.shared();

  private final FileOutputStream output;
  private final CompletableFuture<String> started = new CompletableFuture<>();
  private final CompletableFuture<End> end = new CompletableFuture<>();
  private final StringBuilder text = new StringBuilder();
  private final ReentrantLock sending = new ReentrantLock();
  private volatile @Nullable WebSocket socket;

  /**
   * @param output gets what the terminal says, as it is
   */
  RemoteTerminal(FileOutputStream output) {
    this.output = output;
  }

  /** Its id, once the server has said it. */
  CompletableFuture<String> started() {
    return started;
  }

  CompletableFuture<End> end() {
    return end;
  }

  // ---- what we say ----

  void type(byte[] keys) {
    send(to -> to.sendBinary(ByteBuffer.wrap(keys), true));
  }

  void resize(LocalTerminal.Size size) {
    send(to ->
        to.sendText(
            "{\"resize\":{\"cols\":%d,\"rows\":%d}}".formatted(size.cols(), size.rows()), true));
  }

  void detach() {
    end.complete(new End.Detached());
    send(to -> to.sendClose(WebSocket.NORMAL_CLOSURE, ""));
  }

  private interface Message {
    CompletableFuture<WebSocket> on(WebSocket socket);
  }

  /** One after the other, as the client demands. */
  private void send(Message message) {
    WebSocket to = socket;
    if (to == null) {
      return;
    }
    sending.lock();
    try {
      message.on(to).join();
    } catch (CompletionException failed) {
      broken(String.valueOf(failed.getCause()));
    } finally {
      sending.unlock();
    }
  }

  // ---- what we hear ----

  @Override
  public void onOpen(WebSocket opened) {
    socket = opened;
    opened.request(1);
  }

  @Override
  public @Nullable CompletionStage<?> onBinary(WebSocket from, ByteBuffer said, boolean last) {
    byte[] bytes = new byte[said.remaining()];
    said.get(bytes);
    try {
      output.write(bytes);
    } catch (IOException e) {
      broken("standard output can't be written: " + e.getMessage());
    }
    from.request(1);
    return null;
  }

  @Override
  public @Nullable CompletionStage<?> onText(WebSocket from, CharSequence said, boolean last) {
    text.append(said);
    if (last) {
      hear(text.toString());
      text.setLength(0);
    }
    from.request(1);
    return null;
  }

  private void hear(String json) {
    try {
      JsonNode told = JSON.readTree(json);
      if (told.has("pty")) {
        started.complete(told.path("pty").asString());
      }
      if (told.has("exit")) {
        JsonNode exit = told.path("exit");
        end.complete(new End.Exit(exit.path("code").asInt(1), exit.has("reason")));
      }
    } catch (JacksonException e) {
      broken("it sent what is no JSON");
    }
  }

  @Override
  public @Nullable CompletionStage<?> onClose(WebSocket from, int code, String reason) {
    finish(new End.Closed(code, reason));
    return null;
  }

  @Override
  public void onError(WebSocket from, Throwable error) {
    broken(String.valueOf(error.getMessage()));
  }

  private void broken(String why) {
    finish(new End.Broken(why));
  }

  private void finish(End how) {
    end.complete(how);
    started.completeExceptionally(new IllegalStateException(String.valueOf(how)));
  }
}
