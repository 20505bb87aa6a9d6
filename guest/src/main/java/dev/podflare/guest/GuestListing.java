package dev.podflare.guest;

import java.util.List;

/**
 * What a directory in a guest holds, in the order in which the guest names it.
 *
 * @param truncated whether there is more than is listed here
 */
public record GuestListing(List<GuestEntry> entries, boolean truncated) {

  public GuestListing {
    entries = List.copyOf(entries);
  }
}
