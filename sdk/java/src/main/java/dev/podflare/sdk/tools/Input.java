package dev.podflare.sdk.tools;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The input of a call, as a model wrote it: any field may be missing, or of any type. */
record Input(Map<String, ? extends @Nullable Object> fields) {

  /** A field that must be a text. */
  String text(String name) throws Misuse {
    if (fields.get(name) instanceof String text) {
      return text;
    }
    throw new Misuse("the input needs '" + name + "', a string. Call again with it");
  }

  /** A field that must be a number of lines. */
  long number(String name) throws Misuse {
    if (isWhole(fields.get(name))) {
      return whole(fields.get(name));
    }
    throw new Misuse("the input needs '" + name + "', a number. Call again with it");
  }

  boolean isTrue(String name) {
    return Boolean.TRUE.equals(fields.get(name));
  }

  boolean has(String name) {
    return fields.get(name) != null;
  }

  /** Lines from the first to the last one, from 1 on; the last may be {@link #TO_THE_END}. */
  record LineRange(long first, long last) {
    static final long TO_THE_END = -1;
    static final LineRange ALL = new LineRange(1, TO_THE_END);
  }

  /** A field that may be missing, and else must be a range. */
  LineRange range(String name) throws Misuse {
    Object given = fields.get(name);
    if (given == null) {
      return LineRange.ALL;
    }
    if (given instanceof List<?> pair
        && pair.size() == 2
        && isWhole(pair.get(0))
        && isWhole(pair.get(1))) {
      LineRange range = new LineRange(whole(pair.get(0)), whole(pair.get(1)));
      boolean ends = range.last() == LineRange.TO_THE_END || range.last() >= range.first();
      if (range.first() >= 1 && ends) {
        return range;
      }
    }
    throw new Misuse(
        name
            + " must be two line numbers, [first, last], counted from 1, last -1 for the end. Call"
            + " again with such a range, or without one");
  }

  private static boolean isWhole(@Nullable Object value) {
    return value instanceof Integer || value instanceof Long;
  }

  private static long whole(@Nullable Object value) {
    return value instanceof Number number ? number.longValue() : 0;
  }
}
