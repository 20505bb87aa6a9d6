package dev.podflare.sandbox;

import dev.podflare.engine.BootImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * What {@code guest/image/build-image} made: kernel, initial file system with the agent, base file
 * system.
 *
 * @param boot what a microVM boots from
 * @param fingerprint changes with every change of the image
 * @param python the version of Python in it; empty if its manifest does not say it
 * @param pythonPackages version by name, as PyPI has both, of the Python packages that it was asked
 *     to have
 */
public record GuestImage(
    BootImage boot,
    String fingerprint,
    Optional<String> python,
    SortedMap<String, String> pythonPackages) {

  private static final JsonMapper JSON = JsonMapper.shared();

  /** guest/image/README.md gives the reason of each word. */
  private static final String COMMAND_LINE =
      "quiet oops=panic random.trust_cpu=on mitigations=off lsm=landlock psi=0 nowatchdog tsc=reliable";

  public GuestImage {
    pythonPackages = Collections.unmodifiableSortedMap(new TreeMap<>(pythonPackages));
  }

  /** An image of which nothing is known but how to boot it. */
  public GuestImage(BootImage boot, String fingerprint) {
    this(boot, fingerprint, Optional.empty(), Collections.emptySortedMap());
  }

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
    String text = Files.readString(manifest);
    JsonNode said = read(text);
    SortedMap<String, String> packages = new TreeMap<>();
    said.path("python_packages")
        .properties()
        .forEach(version -> packages.put(version.getKey(), version.getValue().asString()));
    return new GuestImage(
        new BootImage(
            directory.resolve("vmlinuz"),
            directory.resolve("initramfs.img"),
            directory.resolve("rootfs.erofs"),
            COMMAND_LINE),
        Sha256.of(text + COMMAND_LINE),
        Optional.of(said.path("python_version").asString("")).filter(version -> !version.isEmpty()),
        packages);
  }

  private static JsonNode read(String manifest) throws IOException {
    try {
      return JSON.readTree(manifest);
    } catch (JacksonException e) {
      throw new IOException("the manifest of the guest image can't be read: " + e.getMessage(), e);
    }
  }
}
