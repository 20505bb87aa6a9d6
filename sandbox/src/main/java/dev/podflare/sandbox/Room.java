package dev.podflare.sandbox;

/** Whether this host has memory for more machines. */
final class Room {

  private final HostMemory memory;
  private final HostLimits limits;

  Room(HostMemory memory, HostLimits limits) {
    this.memory = memory;
    this.limits = limits;
  }

  /**
   * @throws SandboxException {@code NO_ROOM} if so many more don't fit
   */
  void require(int machines) {
    long free = memory.available();
    long needed = limits.memoryReserveBytes() + machines * limits.memoryPerSandboxBytes();
    if (free < needed) {
      throw Refusals.noRoom(machines, free, roomFor(free));
    }
  }

  boolean fits(int machines) {
    return roomFor() >= machines;
  }

  int roomFor() {
    return roomFor(memory.available());
  }

  private int roomFor(long free) {
    long beyondReserve = Math.max(0, free - limits.memoryReserveBytes());
    return (int) Math.min(Integer.MAX_VALUE, beyondReserve / limits.memoryPerSandboxBytes());
  }

  long total() {
    return memory.total();
  }

  long free() {
    return memory.available();
  }
}
