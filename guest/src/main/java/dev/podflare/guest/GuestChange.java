package dev.podflare.guest;

import java.util.Optional;

/**
 * One path of a guest that its writable layer has something to say about.
 *
 * <p>A path may hold any bytes but NUL. Those that are no UTF-8 stand in it as unpaired surrogates,
 * U+DC80 to U+DCFF, as Python has it, so that the guest finds the file again; {@link #printable} is
 * for everybody else.
 *
 * @param path absolute
 * @param changedNanos the inode's ctime by the guest's clock, since 1970: when anything of the file
 *     changed last. Of what is no more: when its whiteout was made, or one after it
 * @param inode its number in the writable layer, which forked machines share for what none of them
 *     has made anew
 * @param now what is there; empty if the layer hides what the base has
 * @param base what the read-only base has at this path; empty if nothing
 */
public record GuestChange(
    String path, long changedNanos, long inode, Optional<GuestNode> now, Optional<GuestNode> base) {

  /** A path, or the target of a link, as well-formed text; several may share one. */
  public static String printable(String path) {
    return GuestText.wellFormed(path);
  }
}
