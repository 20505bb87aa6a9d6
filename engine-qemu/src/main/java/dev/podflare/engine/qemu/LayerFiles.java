package dev.podflare.engine.qemu;

import dev.podflare.engine.qemu.MemoryMap.Piece;
import dev.podflare.host.Extent;
import dev.podflare.host.ProcessMemory;
import dev.podflare.host.SparseFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.NavigableSet;
import java.util.TreeSet;

/**
 * The immutable files that a machine stands on, in a directory of the machine or of a snapshot:
 *
 * <pre>
 *   memory.0     the base image of the memory; sparse, each byte at its own offset
 *   memory.N     a layer: pages that were written by some ancestor, packed
 *   memory.map   which layer each part of the memory comes from, see {@link MemoryMap}
 *   disk.0       the base of the writable disk, raw and sparse
 *   disk.N       a layer over the disks with lower numbers, qcow2
 *   rootfs       the read-only disk
 * </pre>
 *
 * <p>Nobody writes to them, so that any number of machines and snapshots share them, and each has a
 * hard link of its own. So a file lives exactly as long as something stands on it, whoever is
 * deleted first, and whoever dies in between. Machine monitors have no path to them: they are
 * handed descriptors.
 */
record LayerFiles(Path directory) {

  /** A hole in a base image of at least so many bytes becomes memory without content. */
  static final long WORTH_A_MAPPING = 64 << 10;

  private static final long PAGE = ProcessMemory.PAGE;

  private static final String MEMORY = "memory.";
  private static final String DISK = "disk.";

  Path memoryMap() {
    return directory.resolve(MEMORY + "map");
  }

  Path memory(int layer) {
    return directory.resolve(MEMORY + layer);
  }

  Path disk(int layer) {
    return directory.resolve(DISK + layer);
  }

  Path rootfs() {
    return directory.resolve("rootfs");
  }

  /** The numbers of the disk's layers, the lowest one first. */
  NavigableSet<Integer> disks() throws IOException {
    NavigableSet<Integer> numbers = new TreeSet<>();
    try (var files = Files.newDirectoryStream(directory, DISK + "*")) {
      for (Path file : files) {
        numbers.add(Integer.parseInt(file.getFileName().toString().substring(DISK.length())));
      }
    }
    return numbers;
  }

  /** Replaces the map as a whole: after a crash there is the old one or the new one. */
  void write(MemoryMap map) throws IOException {
    Path aside = directory.resolve(MEMORY + "map.new");
    map.writeTo(aside);
    Files.move(
        aside, memoryMap(), StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  /**
   * The map of a memory that is in the base image alone.
   *
   * <p>What is a hole there is no part of the image: a guest gets memory without content in its
   * place. So its first touch of a page costs one page and not two, and no room on the disk. That
   * it may cost room is a hazard: on tmpfs, a page fault in a hole takes a block, and where there
   * is none left, the kernel kills the process. Holes that are too short for a mapping of their own
   * are filled for the same reason.
   */
  MemoryMap mapOfBase() throws IOException {
    long size = Files.size(memory(0));
    List<Piece> holes = new ArrayList<>();
    try (FileChannel base = FileChannel.open(memory(0), StandardOpenOption.WRITE)) {
      for (Extent hole : SparseFile.holes(memory(0))) {
        // A file system's blocks may be smaller than a page.
        long begin = Math.ceilDiv(hole.offset(), PAGE) * PAGE;
        long length = hole.end() / PAGE * PAGE - begin;
        if (length < WORTH_A_MAPPING) {
          fill(hole, base);
        } else {
          holes.add(new Piece(begin, length, MemoryMap.ZERO, 0));
        }
      }
    }
    return MemoryMap.of(size, 0).under(holes);
  }

  private static void fill(Extent hole, FileChannel file) throws IOException {
    ByteBuffer zeros = ByteBuffer.allocate(Math.toIntExact(hole.length()));
    while (zeros.hasRemaining()) {
      file.write(zeros, hole.offset() + zeros.position());
    }
  }

  /** Gives another directory links to all of these files that a memory needs. */
  void shareWith(LayerFiles other, MemoryMap map) throws IOException {
    Files.createLink(other.rootfs(), rootfs());
    for (int layer : map.layers()) {
      Files.createLink(other.memory(layer), memory(layer));
    }
    for (int layer : disks()) {
      Files.createLink(other.disk(layer), disk(layer));
    }
  }

  /** Gives another directory links to those of these files that it does not have. */
  void shareRestWith(LayerFiles other) throws IOException {
    try (var files = Files.newDirectoryStream(directory)) {
      for (Path file : files) {
        Path link = other.directory().resolve(file.getFileName());
        if (!Files.exists(link)) {
          Files.createLink(link, file);
        }
      }
    }
  }

  /** Takes in the read-only disk, by a link where that is possible. */
  void takeRootfs(Path file) throws IOException {
    try {
      Files.createLink(rootfs(), file);
    } catch (FileSystemException otherFileSystem) {
      Files.copy(file, rootfs(), StandardCopyOption.COPY_ATTRIBUTES);
    }
  }

  /** Removes layers of memory that nothing is seen of any more. */
  void forgetAllBut(MemoryMap map) throws IOException {
    NavigableSet<Integer> needed = map.layers();
    try (var files = Files.newDirectoryStream(directory, MEMORY + "[0-9]*")) {
      for (Path file : files) {
        String number = file.getFileName().toString().substring(MEMORY.length());
        if (!needed.contains(Integer.parseInt(number))) {
          Files.deleteIfExists(file);
        }
      }
    }
  }

  /**
   * Copies a part of a file to where another one is written.
   *
   * @throws IOException also if there is less in it
   */
  static void copy(Path file, long offset, long length, FileChannel to) throws IOException {
    try (FileChannel from = FileChannel.open(file)) {
      long done = 0;
      while (done < length) {
        long count = from.transferTo(offset + done, length - done, to);
        if (count <= 0) {
          throw new IOException(file + " ends before " + (offset + length));
        }
        done += count;
      }
    }
  }

  /**
   * Makes a file one that nobody writes to any more.
   *
   * @throws IOException also if it is no regular file
   */
  static void seal(Path file) throws IOException {
    if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
      throw new IOException(file + " is no regular file");
    }
    Files.setAttribute(file, "unix:uid", 0);
    Files.setAttribute(file, "unix:gid", 0);
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("r--r--r--"));
  }
}
