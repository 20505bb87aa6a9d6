package dev.podflare.engine.qemu;

/**
 * The names under which files are handed to a monitor: numbers below 128, each for one use. A name
 * is free again when it is withdrawn.
 */
final class Offered {

  /** The read-only disk. */
  static final int ROOTFS = 112;

  /** Where device state is written to. */
  static final int STATE = 113;

  private static final int FIRST_DISK_LAYER = 64;
  private static final int FIRST_DISK = 120;

  private Offered() {}

  /** A layer of memory, while it is mapped: those of one machine are counted. */
  static int memory(int index) {
    return within(index, FIRST_DISK_LAYER);
  }

  /** A layer of the disk that is only read, while it is opened. */
  static int diskLayer(int index) {
    return FIRST_DISK_LAYER + within(index, ROOTFS - FIRST_DISK_LAYER);
  }

  /** The file that the disk is written to, and the one that comes after it. */
  static int disk(int number) {
    return FIRST_DISK + number % 2;
  }

  private static int within(int index, int most) {
    if (index < 0 || index >= most) {
      throw new IllegalStateException("a machine stands on more than " + most + " layers");
    }
    return index;
  }
}
