package dev.podflare.sdk;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.UUID;
import org.jspecify.annotations.Nullable;

/**
 * One request: what to send, not how.
 *
 * @param target path and query, percent-encoded
 * @param repeatable whether sending it twice is the same as sending it once
 * @param patient whether the answer may rightly stay away for as long as it likes
 * @param idempotencyKey under this the server does it once, however often it is sent
 * @param traceparent goes with this call in place of the client's
 */
record Call(
    String method,
    String target,
    @Nullable Body body,
    boolean repeatable,
    boolean patient,
    @Nullable String idempotencyKey,
    @Nullable String traceparent) {
  private static final int LONGEST_KEY = 255;

  static Call get(String target) {
    return new Call("GET", target, null, true, false, null, null);
  }

  /** A call that may be sent again, since what is gone stays gone. */
  static Call delete(String target) {
    return new Call("DELETE", target, null, true, false, null, null);
  }

  /** A call that may be sent again if its bytes are still there. */
  static Call put(String target, Body body) {
    return new Call("PUT", target, body, true, false, null, null);
  }

  static Call post(String target) {
    return new Call("POST", target, null, false, false, null, null);
  }

  static Call post(String target, Map<String, ? extends @Nullable Object> fields) {
    return post(target).with(new Body.Bytes(Json.write(fields), "application/json"));
  }

  Call with(Body body) {
    return new Call(method, target, body, repeatable, patient, idempotencyKey, traceparent);
  }

  Call once() {
    return new Call(method, target, body, false, patient, idempotencyKey, traceparent);
  }

  Call harmless() {
    return new Call(method, target, body, true, patient, idempotencyKey, traceparent);
  }

  Call waiting() {
    return new Call(method, target, body, repeatable, true, idempotencyKey, traceparent);
  }

  Call traced(@Nullable String traceparent) {
    return new Call(method, target, body, repeatable, patient, idempotencyKey, traceparent);
  }

  /**
   * The call under a key of the caller, or else under a new one.
   *
   * @throws InvalidRequestException the key is none that a header may be
   */
  Call keyed(@Nullable String key) {
    if (key != null && (key.length() > LONGEST_KEY || !Settings.isOneWord(key))) {
      throw Failures.invalid(
          "invalid_idempotency_key",
          "an idempotency key is 1 to 255 visible ASCII characters",
          "a random UUID is a good one");
    }
    String valid = key == null ? UUID.randomUUID().toString() : key;
    return new Call(method, target, body, repeatable, patient, valid, traceparent);
  }

  boolean maySendAgain() {
    boolean harmless = repeatable || idempotencyKey != null;
    return harmless && (body == null || body instanceof Body.Bytes);
  }

  static String sandbox(String id, String rest) {
    return "/v1/sandboxes/" + Url.part(id) + rest;
  }

  static String space(String id, String rest) {
    return "/v1/spaces/" + Url.part(id) + rest;
  }

  /** The fields of an object to send, in this order; those that are null are not sent. */
  static Map<String, @Nullable Object> fields() {
    return new LinkedHashMap<>();
  }
}
