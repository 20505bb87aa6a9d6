package dev.podflare.worker;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandler;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import javax.net.ssl.SSLContext;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * The provider's API over HTTP, bounded in time and size. It follows no redirect, so a credential
 * goes to the configured address alone. Any number of threads may share one.
 */
final class Provider implements AutoCloseable {
  /** Of every request: the version of the API, and the preview that environments are part of. */
  private static final String VERSION = "2023-06-01";

  private static final String PREVIEW = "managed-agents-2026-04-01";

  private static final Duration TO_CONNECT = Duration.ofSeconds(10);

  /** The largest answer: a page of a session's history. */
  private static final int LONGEST_ANSWER = 32 << 20;

  private static final int LONGEST_ERROR = 64 << 10;
  private static final int PIECE = 64 << 10;
  private static final Logger LOG = System.getLogger(Provider.class.getPackageName());
  private static final FileAttribute<Set<PosixFilePermission>> OWNERS =
      PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));

  private final ProviderAddress base;
  private final HttpClient http;

  Provider(ProviderAddress base) {
    this.base = base;
    // Version 1.1: a broken connection then takes one stream with it, not all of them.
    HttpClient.Builder client =
        HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .followRedirects(HttpClient.Redirect.NEVER)
            .connectTimeout(TO_CONNECT);
    SSLContext trust = base.trust();
    if (trust != null) {
      client.sslContext(trust);
    }
    this.http = client.build();
  }

  /**
   * One call of the API.
   *
   * @param path from the base address on; its parts are ids, which need no escape
   * @param preview the preview that the call is part of; empty for none
   */
  record Call(
      String method,
      String path,
      Map<String, String> query,
      Map<String, String> headers,
      String preview,
      @Nullable Object body) {
    static Call get(String path) {
      return new Call("GET", path, Map.of(), Map.of(), PREVIEW, null);
    }

    static Call post(String path, @Nullable Object body) {
      return new Call("POST", path, Map.of(), Map.of(), PREVIEW, body);
    }

    static Call delete(String path) {
      return new Call("DELETE", path, Map.of(), Map.of(), PREVIEW, null);
    }

    Call with(String name, String value) {
      Map<String, String> more = new TreeMap<>(query);
      more.put(name, value);
      return new Call(method, path, more, headers, preview, body);
    }

    Call header(String name, String value) {
      Map<String, String> more = new TreeMap<>(headers);
      more.put(name, value);
      return new Call(method, path, query, more, preview, body);
    }

    Call preview(String other) {
      return new Call(method, path, query, headers, other, body);
    }
  }

  /** The answer's JSON; null as JSON if the answer is empty. */
  JsonNode json(String credential, Call call, Duration within)
      throws ProviderException, InterruptedException {
    HttpResponse<byte[]> answer =
        send(
            credential,
            call,
            "application/json",
            BodyHandlers.limiting(BodyHandlers.ofByteArray(), LONGEST_ANSWER),
            within);
    if (answer.statusCode() / 100 != 2) {
      throw refused(answer, answer.body());
    }
    return Json.read(answer.body());
  }

  /** A stream that the provider keeps open; the caller closes it. */
  InputStream stream(String credential, Call call, Duration within)
      throws ProviderException, InterruptedException {
    HttpResponse<InputStream> answer =
        send(credential, call, "text/event-stream", BodyHandlers.ofInputStream(), within);
    if (answer.statusCode() / 100 == 2) {
      return answer.body();
    }
    try (InputStream body = answer.body()) {
      throw refused(answer, body.readNBytes(LONGEST_ERROR));
    } catch (IOException broken) {
      throw refused(answer, new byte[0]);
    }
  }

  /**
   * Downloads bytes to a new file that only its owner can read; nothing is left of it on failure.
   *
   * @param most how many bytes are taken
   */
  void download(String credential, Call call, Path target, long most, Duration within)
      throws ProviderException, InterruptedException {
    HttpResponse<InputStream> answer =
        send(credential, call, "application/binary", BodyHandlers.ofInputStream(), within);
    InputStream body = answer.body();
    CompletableFuture<Void> inTime =
        CompletableFuture.runAsync(
            () -> closed(body),
            CompletableFuture.delayedExecutor(within.toMillis(), TimeUnit.MILLISECONDS));
    boolean isWhole = false;
    try (body) {
      if (answer.statusCode() / 100 != 2) {
        throw refused(answer, body.readNBytes(LONGEST_ERROR));
      }
      Files.createFile(target, OWNERS);
      try (OutputStream file = Files.newOutputStream(target)) {
        copy(body, file, most);
      }
      isWhole = true;
    } catch (IOException broken) {
      throw ProviderException.unreachable(
          "the download of " + call.path() + " broke off: " + inWords(broken), broken);
    } finally {
      inTime.cancel(true);
      if (!isWhole) {
        discard(target);
      }
    }
  }

  private static void copy(InputStream body, OutputStream file, long most)
      throws IOException, ProviderException {
    byte[] piece = new byte[PIECE];
    long count = 0;
    for (int read = body.read(piece); read >= 0; read = body.read(piece)) {
      count += read;
      if (count > most) {
        throw ProviderException.malformed(
            "the provider sent more than the " + most + " bytes that are taken", null);
      }
      file.write(piece, 0, read);
    }
  }

  private static void closed(InputStream body) {
    try {
      body.close();
    } catch (IOException already) {
      LOG.log(Level.DEBUG, "a late download does not close", already);
    }
  }

  private static void discard(Path target) {
    try {
      Files.deleteIfExists(target);
    } catch (IOException stays) {
      LOG.log(Level.WARNING, "a part of a download can''t be removed: {0}", stays.getMessage());
    }
  }

  @Override
  public void close() {
    http.shutdownNow();
  }

  private <T> HttpResponse<T> send(
      String credential, Call call, String accepts, BodyHandler<T> handler, Duration within)
      throws ProviderException, InterruptedException {
    base.requireSafe();
    HttpRequest.Builder request =
        HttpRequest.newBuilder(address(call))
            .header("Authorization", "Bearer " + credential)
            .header("anthropic-version", VERSION)
            .header("Accept", accepts);
    if (!call.preview().isEmpty()) {
      request.header("anthropic-beta", call.preview());
    }
    call.headers().forEach(request::header);
    if (call.body() == null) {
      request.method(call.method(), HttpRequest.BodyPublishers.noBody());
    } else {
      byte[] body = Json.MAPPER.writeValueAsBytes(call.body());
      request
          .header("Content-Type", "application/json")
          .method(call.method(), HttpRequest.BodyPublishers.ofByteArray(body));
    }
    CompletableFuture<HttpResponse<T>> answer = http.sendAsync(request.build(), handler);
    try {
      return answer.get(within.toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException late) {
      throw ProviderException.unreachable(
          "the provider did not answer within " + within.toSeconds() + " s", late);
    } catch (ExecutionException broken) {
      Throwable cause = broken.getCause() == null ? broken : broken.getCause();
      throw ProviderException.unreachable(
          "the provider at " + base + " can't be reached: " + inWords(cause), cause);
    } finally {
      answer.cancel(true);
    }
  }

  private URI address(Call call) {
    StringBuilder text = new StringBuilder(base.uri().toString().replaceAll("/+$", ""));
    text.append(call.path()).append("?beta=true");
    call.query()
        .forEach((name, value) ->
            text.append('&')
                .append(URLEncoder.encode(name, StandardCharsets.UTF_8))
                .append('=')
                .append(URLEncoder.encode(value, StandardCharsets.UTF_8)));
    return URI.create(text.toString());
  }

  private static String inWords(Throwable cause) {
    return cause.getMessage() == null ? cause.getClass().getSimpleName() : cause.getMessage();
  }

  private static ProviderException refused(HttpResponse<?> answer, byte[] body) {
    String said = "";
    try {
      said = Json.read(body).path("error").path("message").asString("");
    } catch (ProviderException noJson) {
      said = "(not in JSON)";
    }
    String request = answer.headers().firstValue("request-id").orElse("");
    return ProviderException.answered(
        answer.statusCode(),
        "the provider answered %d%s%s"
            .formatted(
                answer.statusCode(),
                said.isEmpty() ? "" : ": " + Json.said(said),
                request.isEmpty() ? "" : " (request " + Json.said(request) + ")"),
        retryAfter(answer));
  }

  /** Whole seconds; a date, which the API does not send, is as if there were none. */
  private static @Nullable Duration retryAfter(HttpResponse<?> answer) {
    String text = answer.headers().firstValue("Retry-After").orElse("").strip();
    return text.matches("\\d{1,6}") ? Duration.ofSeconds(Long.parseLong(text)) : null;
  }
}
