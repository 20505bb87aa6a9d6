package dev.podflare.engine;

/**
 * The size of a microVM.
 *
 * @param cpus virtual processors, 1 to 64
 * @param memoryMiB memory that the guest sees, 256 MiB to 1 TiB
 * @param diskMiB size of the writable disk, 64 MiB to 1 TiB; the host's disk holds only what is
 *     written
 */
public record MachineShape(int cpus, int memoryMiB, int diskMiB) {

  public MachineShape {
    requireRange("cpus", cpus, 1, 64);
    requireRange("memoryMiB", memoryMiB, 256, 1 << 20);
    requireRange("diskMiB", diskMiB, 64, 1 << 20);
  }

  private static void requireRange(String name, int value, int least, int most) {
    if (value < least || value > most) {
      throw new IllegalArgumentException(
          name + " must be from " + least + " to " + most + ", but is " + value);
    }
  }

  /** A name for this size that is fit for a file name, such as {@code 1c-1024m-4096d}. */
  public String label() {
    return cpus + "c-" + memoryMiB + "m-" + diskMiB + "d";
  }
}
