package dev.podflare.sdk;

import java.util.List;

/**
 * What is compared.
 *
 * @param paths the directories, absolute
 * @param text whether changes of small text files are told line by line
 * @param variables whether Python's globals are compared, which waits until no code runs
 */
public record DiffOptions(List<String> paths, boolean text, boolean variables) {
  private static final DiffOptions DEFAULTS =
      new DiffOptions(List.of("/root", "/tmp"), false, true);

  public DiffOptions {
    paths = List.copyOf(paths);
  }

  /** {@code /root} and {@code /tmp}, no text, and the variables. */
  public static DiffOptions defaults() {
    return DEFAULTS;
  }

  /** These directories. */
  public DiffOptions withPaths(String... paths) {
    return new DiffOptions(List.of(paths), text, variables);
  }

  /** With or without the text's changes. */
  public DiffOptions withText(boolean text) {
    return new DiffOptions(paths, text, variables);
  }

  /** With or without the variables. */
  public DiffOptions withVariables(boolean variables) {
    return new DiffOptions(paths, text, variables);
  }

  String query() {
    StringBuilder query = new StringBuilder("?text=").append(text);
    query.append("&variables=").append(variables);
    paths.forEach(path -> query.append("&path=").append(Url.query(path)));
    return query.toString();
  }
}
