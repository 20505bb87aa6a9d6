package dev.podflare.engine.qemu;

import dev.podflare.host.Extent;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.NavigableSet;
import java.util.TreeSet;

/**
 * Which file each part of a guest's memory comes from.
 *
 * <p>Memory begins as one base image and gets a layer over it with each capture: the pages that
 * were written since the one before. The pieces here are what is left to see from above: in
 * ascending order, without gap or overlap, from 0 to the size of the memory. So a machine has as
 * many generations below it as it likes, and its memory is mapped in one pass all the same.
 */
record MemoryMap(List<Piece> pieces) {

  /** The number that stands for memory without content. */
  static final int ZERO = -1;

  private static final long MAGIC = 0x5046_4d45_4d00_0001L;
  private static final int PIECE_BYTES = 28;

  /** More than a machine can ever have: the kernel allows 65,530 mappings. */
  private static final int MOST_PIECES = 60_000;

  /**
   * @param offset in the guest's memory, in bytes
   * @param layer the number of a layer, or {@link #ZERO}
   * @param offsetInLayer in bytes
   */
  record Piece(long offset, long length, int layer, long offsetInLayer) {

    long end() {
      return offset + length;
    }

    private Piece from(long start) {
      return new Piece(start, end() - start, layer, offsetInLayer + (start - offset));
    }

    private Piece until(long end) {
      return new Piece(offset, end - offset, layer, offsetInLayer);
    }

    private boolean continues(Piece before) {
      return layer == before.layer
          && offset == before.end()
          && (layer == ZERO || offsetInLayer == before.offsetInLayer + before.length);
    }
  }

  MemoryMap {
    pieces = List.copyOf(pieces);
    long at = 0;
    for (Piece piece : pieces) {
      if (piece.offset != at || piece.length < 1 || piece.layer < ZERO || piece.offsetInLayer < 0) {
        throw new IllegalArgumentException("a memory map with a gap or an overlap at " + at);
      }
      at = piece.end();
    }
  }

  /** Memory that comes from one file, each byte from its own offset. */
  static MemoryMap of(long size, int layer) {
    return new MemoryMap(List.of(new Piece(0, size, layer, 0)));
  }

  /** In bytes. */
  long size() {
    return pieces.isEmpty() ? 0 : pieces.getLast().end();
  }

  /** The numbers of the layers that anything is still seen of. */
  NavigableSet<Integer> layers() {
    NavigableSet<Integer> layers = new TreeSet<>();
    pieces.stream().map(Piece::layer).filter(layer -> layer != ZERO).forEach(layers::add);
    return layers;
  }

  /** A number that no layer has. */
  int nextLayer() {
    NavigableSet<Integer> layers = layers();
    return layers.isEmpty() ? 0 : layers.last() + 1;
  }

  /**
   * The pieces of a layer in which extents lie one after the other.
   *
   * @param extents in ascending order, without overlap
   */
  static List<Piece> pieces(List<Extent> extents, int layer) {
    List<Piece> pieces = new ArrayList<>(extents.size());
    long at = 0;
    for (Extent extent : extents) {
      pieces.add(new Piece(extent.offset(), extent.length(), layer, at));
      at += extent.length();
    }
    return pieces;
  }

  /** This memory with these pieces over it, which are in ascending order and without overlap. */
  MemoryMap under(List<Piece> over) {
    List<Piece> merged = new ArrayList<>(pieces.size() + 2 * over.size());
    int below = 0;
    long at = 0;
    for (Piece above : over) {
      below = appendUntil(above.offset, at, below, merged);
      append(above, merged);
      at = above.end();
    }
    appendUntil(size(), at, below, merged);
    return new MemoryMap(merged);
  }

  /** Appends what this map has from one offset to another; answers the piece to go on with. */
  private int appendUntil(long end, long start, int first, List<Piece> to) {
    long at = start;
    int index = first;
    while (at < end) {
      Piece piece = pieces.get(index);
      if (piece.end() <= at) {
        index++;
        continue;
      }
      Piece visible = piece.from(at).until(Math.min(end, piece.end()));
      append(visible, to);
      at = visible.end();
    }
    return index;
  }

  private static void append(Piece piece, List<Piece> to) {
    if (!to.isEmpty() && piece.continues(to.getLast())) {
      Piece before = to.removeLast();
      to.add(
          new Piece(
              before.offset, before.length + piece.length, before.layer, before.offsetInLayer));
    } else {
      to.add(piece);
    }
  }

  /** The pieces that do not come from the base image, which is the first of the layers. */
  List<Piece> aboveBase() {
    return pieces.stream().filter(piece -> piece.layer != 0).toList();
  }

  /** What to map, in this order: the whole base first, and the rest over it. */
  List<Piece> inOrder() {
    List<Piece> all = new ArrayList<>(List.of(new Piece(0, size(), 0, 0)));
    all.addAll(aboveBase());
    return all;
  }

  void writeTo(Path file) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(12 + pieces.size() * PIECE_BYTES);
    bytes.putLong(MAGIC).putInt(pieces.size());
    for (Piece piece : pieces) {
      bytes.putLong(piece.offset).putLong(piece.length).putInt(piece.layer);
      bytes.putLong(piece.offsetInLayer);
    }
    Files.write(file, bytes.array());
  }

  /**
   * @throws IOException also if the file is not such a map
   */
  static MemoryMap read(Path file) throws IOException {
    if (Files.size(file) > 12 + (long) MOST_PIECES * PIECE_BYTES) {
      throw new IOException(file + " is too long for a memory map");
    }
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file));
    if (bytes.remaining() < 12
        || bytes.getLong() != MAGIC
        || bytes.getInt() != bytes.remaining() / PIECE_BYTES
        || bytes.remaining() % PIECE_BYTES != 0) {
      throw new IOException(file + " is not a memory map");
    }
    List<Piece> pieces = new ArrayList<>(bytes.remaining() / PIECE_BYTES);
    while (bytes.hasRemaining()) {
      pieces.add(new Piece(bytes.getLong(), bytes.getLong(), bytes.getInt(), bytes.getLong()));
    }
    try {
      return new MemoryMap(pieces);
    } catch (IllegalArgumentException e) {
      throw new IOException(file + " is not a memory map: " + e.getMessage(), e);
    }
  }
}
