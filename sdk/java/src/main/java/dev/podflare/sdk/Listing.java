package dev.podflare.sdk;

import java.util.List;

/**
 * What a directory holds.
 *
 * @param entries sorted by name
 * @param truncated whether there are more than the server lists
 */
public record Listing(List<FileEntry> entries, boolean truncated) {
  public Listing {
    entries = List.copyOf(entries);
  }

  static Listing of(Fields fields) {
    return new Listing(
        fields.list("entries").stream().map(FileEntry::of).toList(),
        fields.truth("truncated", false));
  }

  /** The names alone. */
  public List<String> names() {
    return entries.stream().map(FileEntry::name).toList();
  }
}
