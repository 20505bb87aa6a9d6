package dev.podflare.sandbox;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * An event as bytes, for this process alone: a head of {@link #HEAD} bytes (kind, time, length of
 * what follows), then its texts, each behind its length. Its number is its place.
 */
final class ToldEventBytes {

  static final int HEAD = 1 + Long.BYTES + Integer.BYTES;

  private static final byte STDOUT = 1;
  private static final byte STDERR = 2;
  private static final byte RESULT = 3;
  private static final byte FAILURE = 4;
  private static final byte WAITING = 5;

  private ToldEventBytes() {}

  /** The exit and gaps are kept as they are, and never become bytes. */
  static byte[] of(ExecEvent event, Instant at) {
    return switch (event) {
      case ExecEvent.Stdout(String text) -> of(STDOUT, at, List.of(text));
      case ExecEvent.Stderr(String text) -> of(STDERR, at, List.of(text));
      case ExecEvent.Result(Map<String, String> bundle) -> {
        List<String> texts = new ArrayList<>();
        bundle.forEach((type, text) -> {
          texts.add(type);
          texts.add(text);
        });
        yield of(RESULT, at, texts);
      }
      case ExecEvent.Failure(String name, String value, String traceback) ->
          of(FAILURE, at, List.of(name, value, traceback));
      case ExecEvent.Waiting(Optional<ExecId> behind) ->
          of(WAITING, at, behind.map(ExecId::value).stream().toList());
      case ExecEvent.Exit _, ExecEvent.Gap _ ->
          throw new IllegalArgumentException("not an event of code");
    };
  }

  private static byte[] of(byte kind, Instant at, List<String> texts) {
    List<byte[]> encoded =
        texts.stream().map(text -> text.getBytes(StandardCharsets.UTF_8)).toList();
    int length = encoded.stream().mapToInt(text -> Integer.BYTES + text.length).sum();
    ByteBuffer bytes =
        ByteBuffer.allocate(HEAD + length).put(kind).putLong(at.toEpochMilli()).putInt(length);
    encoded.forEach(text -> bytes.putInt(text.length).put(text));
    return bytes.array();
  }

  /** The length of what follows a head. */
  static int lengthBehind(byte[] head) {
    return ByteBuffer.wrap(head).getInt(HEAD - Integer.BYTES);
  }

  static ToldEvent read(long seq, byte[] head, byte[] rest) {
    ByteBuffer bytes = ByteBuffer.wrap(rest);
    List<String> texts = new ArrayList<>();
    while (bytes.hasRemaining()) {
      byte[] text = new byte[bytes.getInt()];
      bytes.get(text);
      texts.add(new String(text, StandardCharsets.UTF_8));
    }
    ExecEvent event =
        switch (head[0]) {
          case STDOUT -> new ExecEvent.Stdout(texts.getFirst());
          case STDERR -> new ExecEvent.Stderr(texts.getFirst());
          case RESULT -> {
            Map<String, String> bundle = new HashMap<>();
            for (int i = 0; i < texts.size(); i += 2) {
              bundle.put(texts.get(i), texts.get(i + 1));
            }
            yield new ExecEvent.Result(bundle);
          }
          case FAILURE -> new ExecEvent.Failure(texts.get(0), texts.get(1), texts.get(2));
          case WAITING -> new ExecEvent.Waiting(texts.stream().findFirst().flatMap(ExecId::parse));
          default -> throw new IllegalStateException("the log of an exec is damaged");
        };
    return new ToldEvent(seq, Instant.ofEpochMilli(ByteBuffer.wrap(head).getLong(1)), event);
  }
}
