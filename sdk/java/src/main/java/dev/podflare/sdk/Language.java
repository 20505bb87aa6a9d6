package dev.podflare.sdk;

/** What code is written in. */
public enum Language {
  /** For the one Python process that lives as long as the sandbox. */
  PYTHON,
  /** For a fresh bash in the same file system. */
  BASH;

  /**
   * The language of this name, which may come from a model.
   *
   * @param name {@code python} or {@code bash}
   * @throws InvalidRequestException there is no such language
   */
  public static Language of(String name) {
    return Words.asked(Language.class, "language", name);
  }
}
