package dev.podflare.engine.qemu;

import dev.podflare.engine.EngineException;
import dev.podflare.engine.MachineShape;
import dev.podflare.engine.Snapshot;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * What a snapshot of this engine is on disk: the {@link LayerFiles}, and
 *
 * <pre>
 *   state          the state of processors and devices
 *   overlay.qcow2  the uppermost layer of the disk, copied for every clone
 *   manifest.json  written last, and only for a snapshot that is to outlive the host: all files with
 *                  their checksums
 * </pre>
 *
 * <p>No file is written to after it is complete. The directory can be moved, and copied to another
 * host with the same kind of processor: nothing in it names a path.
 */
record SnapshotFiles(Path directory) {

  private static final JsonMapper JSON =
      JsonMapper.builder()
          .enable(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES)
          .enable(DeserializationFeature.FAIL_ON_NULL_CREATOR_PROPERTIES)
          .build();

  /**
   * The manifest.
   *
   * @param fingerprint of the engine that made it: device state fits no other
   */
  record Manifest(int format, String fingerprint, MachineShape shape, List<Checksum> files) {
    static final int FORMAT = 2;
  }

  LayerFiles layers() {
    return new LayerFiles(directory);
  }

  Path deviceState() {
    return directory.resolve("state");
  }

  Path overlay() {
    return directory.resolve("overlay.qcow2");
  }

  private Path manifest() {
    return directory.resolve("manifest.json");
  }

  /** Makes a snapshot whose files are all there one that outlives the host. */
  Snapshot complete(MachineShape shape, String fingerprint, VerifiedFiles verified)
      throws IOException {
    List<Checksum> checksums = new ArrayList<>();
    try (var files = Files.newDirectoryStream(directory)) {
      for (Path file : files) {
        sync(file);
        checksums.add(verified.checksumOf(file));
      }
    }
    Path aside = directory.resolve("manifest.json.new");
    Files.write(
        aside,
        JSON.writeValueAsBytes(new Manifest(Manifest.FORMAT, fingerprint, shape, checksums)));
    sync(aside);
    Files.move(aside, manifest(), StandardCopyOption.ATOMIC_MOVE);
    sync(directory);
    return new Snapshot(directory, shape);
  }

  /** Checks that the snapshot is whole and fits. */
  Snapshot open(String fingerprint, VerifiedFiles verified) throws EngineException {
    try {
      if (!Files.exists(manifest())) {
        throw mismatch("is not complete: it has no manifest");
      }
      Manifest manifest = JSON.readValue(Files.readAllBytes(manifest()), Manifest.class);
      if (manifest.format() != Manifest.FORMAT || !manifest.fingerprint().equals(fingerprint)) {
        throw mismatch("was made with another machine, another processor or by another Podflare");
      }
      for (Checksum checksum : manifest.files()) {
        if (!verified.holds(checksum, directory)) {
          throw mismatch("is damaged: " + checksum.name() + " is not as it was written");
        }
      }
      requireAllOf(manifest);
      return new Snapshot(directory, manifest.shape());
    } catch (IOException | tools.jackson.core.JacksonException | IllegalArgumentException e) {
      throw new EngineException(
          EngineException.Kind.SNAPSHOT_MISMATCH,
          "the snapshot " + directory.getFileName() + " can't be read",
          e);
    }
  }

  /** A manifest that lists too little must not pass because what it lists is right. */
  private void requireAllOf(Manifest manifest) throws IOException, EngineException {
    List<String> listed = manifest.files().stream().map(Checksum::name).toList();
    List<Path> needed =
        new ArrayList<>(
            List.of(
                deviceState(),
                overlay(),
                layers().rootfs(),
                layers().memoryMap(),
                layers().disk(0)));
    MemoryMap.read(layers().memoryMap())
        .layers()
        .forEach(layer -> needed.add(layers().memory(layer)));
    for (Path file : needed) {
      if (!listed.contains(file.getFileName().toString())) {
        throw mismatch("is damaged: its manifest does not know " + file.getFileName());
      }
    }
  }

  private EngineException mismatch(String what) {
    return new EngineException(
        EngineException.Kind.SNAPSHOT_MISMATCH,
        "the snapshot " + directory.getFileName() + " " + what);
  }

  private static void sync(Path file) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      channel.force(true);
    }
  }
}
