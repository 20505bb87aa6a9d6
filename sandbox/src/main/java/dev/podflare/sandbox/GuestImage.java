package dev.podflare.sandbox;

import dev.podflare.engine.BootImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * What {@code guest/image/build-image} made: kernel, initial file system with the agent, base file
 * system.
 *
 * @param boot what a microVM boots from
 * @param fingerprint changes with every change of the image
 */
public record GuestImage(BootImage boot, String fingerprint) {

  /** guest/image/README.md gives the reason of each word. */
  private static final String COMMAND_LINE =
      "quiet oops=panic random.trust_cpu=on mitigations=off lsm=landlock psi=0 nowatchdog tsc=reliable";

  /**
   * Opens the image in a directory.
   *
   * @throws IOException if it is not complete
   */
  public static GuestImage open(Path directory) throws IOException {
    Path manifest = directory.resolve("image.json");
    if (!Files.exists(manifest)) {
      throw new IOException("there is no guest image in " + directory);
    }
    return new GuestImage(
        new BootImage(
            directory.resolve("vmlinuz"),
            directory.resolve("initramfs.img"),
            directory.resolve("rootfs.erofs"),
            COMMAND_LINE),
        Sha256.of(Files.readString(manifest) + COMMAND_LINE));
  }
}
