package dev.podflare.host;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.LongBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Finds the pages of another process that are its own: present or swapped out, and of no file.
 *
 * <p>Since Linux 6.7 the kernel answers that in one call which skips what is not mapped
 * (PAGEMAP_SCAN, admin-guide/mm/pagemap.rst), so that it costs what the pages cost, not what the
 * range does. Older kernels tell each page by itself, 8 bytes for each, mapped or not.
 */
record PageScan(long pid, long address, long length) {

  private static final int PAGE = ProcessMemory.PAGE;

  /** {@code _IOWR('f', 16, struct pm_scan_arg)} of {@code <linux/fs.h>}, and its categories. */
  private static final long PAGEMAP_SCAN = 0xC060_6610L;

  private static final long IS_FILE = 1 << 2;
  private static final long IS_PRESENT = 1 << 3;
  private static final long IS_SWAPPED = 1 << 4;
  private static final long IS_ZERO_PAGE = 1 << 5;
  private static final int ARGUMENT_BYTES = 96;
  private static final int REGION_BYTES = 24;
  private static final int REGIONS_AT_ONCE = 4096;

  /** Bits of an entry of /proc/PID/pagemap. */
  private static final long PRESENT_OR_SWAPPED = 3L << 62;

  private static final long OF_A_FILE = 1L << 61;
  private static final int ENTRIES_AT_ONCE = 1 << 17;

  /** Page numbers from the start of the range, ascending; neighbours are not always joined. */
  List<Extent> ownPages() throws IOException {
    Optional<List<Extent>> asked = byAsking();
    return asked.isPresent() ? asked.get() : byReading();
  }

  private Path pagemap() {
    return Path.of("/proc/" + pid + "/pagemap");
  }

  /** Empty on a kernel that does not know the call. */
  Optional<List<Extent>> byAsking() throws IOException {
    List<Extent> found = new ArrayList<>();
    try (Descriptor pagemap = Descriptor.open(pagemap(), Descriptor.Access.READ);
        Arena arena = Arena.ofConfined()) {
      MemorySegment regions = arena.allocate((long) REGIONS_AT_ONCE * REGION_BYTES, 8);
      MemorySegment argument = arena.allocate(ARGUMENT_BYTES, 8);
      long at = address;
      while (at < address + length) {
        long[] fields = {
          ARGUMENT_BYTES,
          0,
          at,
          address + length,
          0,
          regions.address(),
          REGIONS_AT_ONCE,
          0,
          IS_FILE | IS_ZERO_PAGE,
          IS_FILE | IS_ZERO_PAGE,
          IS_PRESENT | IS_SWAPPED,
          IS_PRESENT
        };
        argument.copyFrom(MemorySegment.ofArray(fields));
        long count;
        try {
          count = SystemCall.IOCTL.call(pagemap.number(), PAGEMAP_SCAN, argument.address());
        } catch (SystemCallException unknown) {
          return Optional.empty();
        }
        for (long i = 0; i < count; i++) {
          long start = regions.get(ValueLayout.JAVA_LONG, i * REGION_BYTES);
          long end = regions.get(ValueLayout.JAVA_LONG, i * REGION_BYTES + 8);
          found.add(new Extent((start - address) / PAGE, (end - start) / PAGE));
        }
        // Not by walk_end, which kernels up to 6.18 at least leave behind what they have told.
        at = count < REGIONS_AT_ONCE ? address + length : address + found.getLast().end() * PAGE;
      }
    }
    return Optional.of(found);
  }

  List<Extent> byReading() throws IOException {
    List<Extent> found = new ArrayList<>();
    long pages = length / PAGE;
    ByteBuffer bytes = ByteBuffer.allocateDirect(ENTRIES_AT_ONCE * Long.BYTES);
    LongBuffer entries = bytes.order(ByteOrder.nativeOrder()).asLongBuffer();
    try (FileChannel pagemap = FileChannel.open(pagemap())) {
      for (long at = 0; at < pages; at += ENTRIES_AT_ONCE) {
        int count = (int) Math.min(ENTRIES_AT_ONCE, pages - at);
        long place = (address / PAGE + at) * Long.BYTES;
        ProcessMemory.readFully(pagemap, bytes.clear().limit(count * Long.BYTES), place);
        for (int i = 0; i < count; i++) {
          long entry = entries.get(i);
          if ((entry & PRESENT_OR_SWAPPED) != 0 && (entry & OF_A_FILE) == 0) {
            found.add(new Extent(at + i, 1));
          }
        }
      }
    }
    return found;
  }
}
