package dev.podflare.host;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;

/**
 * A tap device of the namespace in which the thread is, whose frames have a header of virtio's
 * offloads before them: "Universal TUN/TAP" in the kernel's documentation.
 */
final class Tap {

  private static final Path TUN = Path.of("/dev/net/tun");
  private static final long TUNSETIFF = 0x400454CAL;
  private static final long TUNSETPERSIST = 0x400454CBL;
  private static final long TUNSETOWNER = 0x400454CCL;

  /** {@code IFF_TAP | IFF_NO_PI | IFF_VNET_HDR}. */
  private static final short FRAMES_WITH_OFFLOAD_HEADER = 0x0002 | 0x1000 | 0x4000;

  /** {@code struct ifreq}: a name, and here flags. */
  private static final int REQUEST_BYTES = 40;

  private static final int FLAGS = 16;

  private Tap() {}

  /**
   * Makes one that stays until its namespace ends.
   *
   * @param owner the user who may open it, beside root
   */
  static void create(String device, int owner) throws IOException {
    try (Descriptor tap = open(device)) {
      SystemCall.IOCTL.call(tap.number(), TUNSETOWNER, owner);
      SystemCall.IOCTL.call(tap.number(), TUNSETPERSIST, 1);
    }
  }

  /** Opens one; it is made, and goes when it is closed, if there is none. */
  static Descriptor open(String device) throws IOException {
    Descriptor tap = Descriptor.openNonBlocking(TUN, Descriptor.Access.READ_WRITE);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment request = arena.allocate(REQUEST_BYTES, Short.BYTES);
      request.setString(0, device);
      request.set(ValueLayout.JAVA_SHORT, FLAGS, FRAMES_WITH_OFFLOAD_HEADER);
      SystemCall.IOCTL.call(tap.number(), TUNSETIFF, request.address());
      return tap;
    } catch (IOException e) {
      tap.close();
      throw e;
    }
  }
}
