package dev.podflare.sdk;

import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Which sandboxes are listed: those that match all that is not null.
 *
 * @param template what they were cloned from
 * @param state what they are doing
 * @param metadata labels that they have
 */
public record SandboxFilter(
    @Nullable String template, @Nullable SandboxState state, Map<String, String> metadata) {
  public SandboxFilter {
    metadata = Map.copyOf(metadata);
  }

  /** Starts with all sandboxes. */
  public static Builder builder() {
    return new Builder();
  }

  String query(int limit, @Nullable String cursor) {
    StringBuilder query = new StringBuilder("?limit=").append(limit);
    add(query, "cursor", cursor);
    add(query, "template", template);
    add(query, "state", state == null ? null : Words.of(state));
    metadata.forEach((name, value) -> add(query, "metadata." + name, value));
    return query.toString();
  }

  private static void add(StringBuilder query, String name, @Nullable String value) {
    if (value != null) {
      query.append('&').append(Url.query(name)).append('=').append(Url.query(value));
    }
  }

  /** Builds a {@link SandboxFilter}. */
  public static final class Builder {
    private @Nullable String template;
    private @Nullable SandboxState state;
    private final Map<String, String> metadata = new LinkedHashMap<>();

    private Builder() {}

    /** Those of this template. */
    public Builder template(String template) {
      this.template = template;
      return this;
    }

    /** Those in this state. */
    public Builder state(SandboxState state) {
      this.state = state;
      return this;
    }

    /** Those with this label. */
    public Builder metadata(String name, String value) {
      metadata.put(name, value);
      return this;
    }

    /** The filter. */
    public SandboxFilter build() {
      return new SandboxFilter(template, state, metadata);
    }
  }
}
