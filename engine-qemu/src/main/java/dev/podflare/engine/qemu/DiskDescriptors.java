package dev.podflare.engine.qemu;

import dev.podflare.host.Descriptor;
import dev.podflare.host.Descriptor.Access;
import dev.podflare.host.Rollback;
import java.io.IOException;
import java.nio.file.Path;

/**
 * What a child's monitor needs to go on with a disk of its own.
 *
 * @param parents the file that its parent writes to; wherever it is open, the child's is put
 * @param own the child's, to read and write
 * @param ownReadOnly the child's, to read
 */
record DiskDescriptors(Descriptor parents, Descriptor own, Descriptor ownReadOnly)
    implements AutoCloseable {

  /**
   * @param parents the file that the parent writes to, or any other one if it has no disk
   */
  static DiskDescriptors of(Path parents, Path own) throws IOException {
    try (Rollback rollback = new Rollback()) {
      DiskDescriptors descriptors =
          new DiskDescriptors(
              rollback.add(Descriptor.open(parents, Access.READ)),
              rollback.add(Descriptor.open(own, Access.READ_WRITE)),
              rollback.add(Descriptor.open(own, Access.READ)));
      rollback.commit();
      return descriptors;
    }
  }

  /** Of a monitor that has no disk yet. */
  static DiskDescriptors none() throws IOException {
    Path nothing = Path.of("/dev/null");
    return of(nothing, nothing);
  }

  @Override
  public void close() {
    parents.close();
    own.close();
    ownReadOnly.close();
  }
}
