package dev.podflare.engine.qemu;

import dev.podflare.engine.EngineException;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;

/** What went wrong with a file, beyond the words of the exception. */
final class HostDisk {

  /** strerror(3) of ENOSPC and EDQUOT, in the C locale that the program sets for itself. */
  private static final String NO_SPACE = "No space left on device";

  private static final String NO_QUOTA = "Disk quota exceeded";

  /** With less than this, what is written by a cut has failed for want of room. */
  private static final long LEAST_BYTES = 1 << 20;

  /** A snapshot leaves as much to the guests' disks and to what the server writes down. */
  private static final long LEFT_BYTES = 16 << 20;

  private HostDisk() {}

  /**
   * Refuses what a snapshot is to write if it would fill the disk.
   *
   * @param bytes that it takes beyond what it has; may be negative
   * @param file where they are to go
   */
  static void requireRoom(long bytes, Path file) throws EngineException {
    if (bytes <= 0) {
      return;
    }
    long free = freeBytes(file);
    if (free < bytes + LEFT_BYTES) {
      throw new EngineException(
          EngineException.Kind.NO_ROOM,
          "the host's disk has %d MB free, and the snapshot needs %d MB"
              .formatted(free >> 20, Math.ceilDiv(bytes + LEFT_BYTES, 1L << 20)));
    }
  }

  /** For a file that is there. Not by way of its file store, which reads all mounts first. */
  static long freeBytes(Path file) {
    return file.toFile().getUsableSpace();
  }

  /** Whether there was no room. Java tells the reason in words only. */
  static boolean isFull(IOException failure) {
    String reason =
        failure instanceof FileSystemException named ? named.getReason() : failure.getMessage();
    return reason != null && (reason.contains(NO_SPACE) || reason.contains(NO_QUOTA));
  }

  /** That something could not be done with files, and whether that is for want of room. */
  static EngineException failure(String what, Exception cause) {
    String sentence = what + ": " + cause.getMessage();
    return cause instanceof IOException io && isFull(io)
        ? new EngineException(
            EngineException.Kind.NO_ROOM, "the host's disk is full: " + sentence, cause)
        : new EngineException(EngineException.Kind.FAILED, sentence, cause);
  }

  /**
   * Whether a failure is one of a full disk: of ours, or of the machine monitor, which tells no
   * reason when it can't write.
   */
  static EngineException explained(EngineException failure, Path directory) {
    if (failure.kind() != EngineException.Kind.FAILED || !hasNoRoom(directory)) {
      return failure;
    }
    return new EngineException(
        EngineException.Kind.NO_ROOM, "the host's disk is full: " + failure.getMessage(), failure);
  }

  private static boolean hasNoRoom(Path directory) {
    try {
      return Files.getFileStore(directory).getUsableSpace() < LEAST_BYTES;
    } catch (IOException e) {
      System.getLogger(HostDisk.class.getName())
          .log(System.Logger.Level.DEBUG, "the room on the disk is not known", e);
      return false;
    }
  }
}
