package dev.podflare.guest;

import java.util.List;

/**
 * What a guest's writable layer holds. A path of which nothing is said is as in the base.
 *
 * @param changes each path at most once, a directory before what is in it
 * @param base names the base image; the same name in two guests means the same image
 * @param truncated whether there is more than is told
 */
public record GuestChanges(List<GuestChange> changes, String base, boolean truncated) {

  public GuestChanges {
    changes = List.copyOf(changes);
  }
}
