package dev.podflare.cli;

import java.util.Locale;

/** What code may be run in. */
enum Language {
  PYTHON,
  BASH;

  /** As it is typed, and as the API calls it. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
