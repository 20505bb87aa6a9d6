package dev.podflare.engine.qemu;

import dev.podflare.engine.EngineException;
import dev.podflare.engine.qemu.MemoryMap.Piece;
import dev.podflare.host.Extent;
import dev.podflare.host.ProcessMemory;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * Takes what a guest wrote out of its paused monitor, into a new layer.
 *
 * <p>The monitor maps the guest's memory privately from immutable files, so the pages that are its
 * own are exactly those that the guest wrote since they were mapped. A layer has just these: the
 * cost is in proportion to what was written, not to the size of the memory or to how many
 * generations lie below.
 *
 * @param memory of the monitor
 * @param below what the guest's memory came from until now
 */
record Cut(ProcessMemory memory, MemoryMap below) {

  /** Pages between two written ones that are copied along: cheaper than one more mapping. */
  private static final int GAP = 4;

  /** A memory that was written to in more places than this gets longer pieces. */
  private static final int MOST_EXTENTS = 12_000;

  /** As many zero pages in a row are left out of a layer that goes to disk. */
  private static final int ZEROS_WORTH_LEAVING_OUT = 16;

  /** The same where pieces are to be few. */
  private static final int ZEROS_WORTH_A_PIECE = 256;

  /** Beyond these the layers of a machine are made one. */
  private static final int MOST_PIECES = 16_000;

  private static final int MOST_LAYERS = 48;

  /**
   * What a cut gave.
   *
   * @param pieces the new layer's, to put under the guest that goes on
   * @param map of the memory with the new layer
   */
  record Layer(List<Piece> pieces, MemoryMap map, long bytes) {}

  /** Whether the layers below should be {@linkplain #flatten made one} before the next cut. */
  static boolean isDeep(MemoryMap map) {
    return map.layers().size() > MOST_LAYERS || map.pieces().size() > MOST_PIECES;
  }

  /** Writes all pages that the guest wrote to a new layer, but for long runs of zeros. */
  Layer into(LayerFiles files, int layer) throws IOException, EngineException {
    return into(files, layer, MOST_EXTENTS, ZEROS_WORTH_LEAVING_OUT);
  }

  /**
   * The same in fewer pieces, with what lies between them.
   *
   * @param most extents of what was written; zeros may divide some
   */
  Layer coarselyInto(LayerFiles files, int layer, int most) throws IOException, EngineException {
    return into(files, layer, most, ZEROS_WORTH_A_PIECE);
  }

  private Layer into(LayerFiles files, int layer, int most, int zerosLeftOut)
      throws IOException, EngineException {
    List<Extent> written = written(most);
    List<Extent> zeros = memory.zeros(written, zerosLeftOut);
    List<Extent> rest = Extent.without(zeros, written);
    Path target = files.memory(layer);
    try (FileChannel file = create(target)) {
      HostDisk.requireRoom(Extent.bytes(rest), target);
      memory.copy(rest, file, 0);
    }
    LayerFiles.seal(target);
    List<Piece> nothing =
        zeros.stream()
            .map(extent -> new Piece(extent.offset(), extent.length(), MemoryMap.ZERO, 0))
            .toList();
    Layer content = layer(rest, layer);
    return new Layer(content.pieces(), content.map().under(nothing), content.bytes());
  }

  private List<Extent> written(int most) throws IOException {
    List<Extent> extents = memory.written(GAP);
    for (int gap = 4 * GAP; extents.size() > most; gap *= 4) {
      extents = memory.written(gap);
    }
    return extents;
  }

  private Layer layer(List<Extent> extents, int layer) {
    List<Piece> pieces = MemoryMap.pieces(extents, layer);
    return new Layer(pieces, below.under(pieces), Extent.bytes(extents));
  }

  /**
   * Makes one layer of all that lie over the base. Needs no pause: they are immutable, and a
   * monitor that has the old ones mapped keeps them.
   */
  static MemoryMap flatten(MemoryMap map, LayerFiles files) throws IOException {
    int layer = map.nextLayer();
    List<Piece> flat = new ArrayList<>();
    Files.deleteIfExists(files.memory(layer));
    long offsetInLayer = 0;
    try (FileChannel to = create(files.memory(layer))) {
      for (Piece piece : map.aboveBase()) {
        if (piece.layer() == MemoryMap.ZERO) {
          flat.add(piece);
          continue;
        }
        LayerFiles.copy(files.memory(piece.layer()), piece.offsetInLayer(), piece.length(), to);
        flat.add(new Piece(piece.offset(), piece.length(), layer, offsetInLayer));
        offsetInLayer += piece.length();
      }
    }
    LayerFiles.seal(files.memory(layer));
    return MemoryMap.of(map.size(), 0).under(flat);
  }

  private static FileChannel create(Path file) throws IOException {
    return FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
  }
}
