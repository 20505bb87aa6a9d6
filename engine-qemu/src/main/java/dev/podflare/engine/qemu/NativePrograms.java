package dev.podflare.engine.qemu;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;

/**
 * The two small C programs of this module, which are built with it ({@code src/main/c}) and lie in
 * its jar.
 *
 * @param jail starts a machine monitor with nothing but what it needs
 * @param fork is preloaded into a machine monitor, so that it can be forked
 */
record NativePrograms(Path jail, Path fork) {

  /** Puts them into a directory of the host, replacing those of another version. */
  static NativePrograms unpack(Path directory) throws IOException {
    Files.createDirectories(directory);
    return new NativePrograms(
        unpack("podflare-jail", directory), unpack("podflare-fork.so", directory));
  }

  private static Path unpack(String name, Path directory) throws IOException {
    Path target = directory.resolve(name);
    // Written aside: the old one may be running, and can't be written to then.
    Path aside = Files.createTempFile(directory, name, "");
    try (InputStream program = NativePrograms.class.getResourceAsStream(name)) {
      if (program == null) {
        throw new IOException(name + " is missing from this build of Podflare");
      }
      Files.copy(program, aside, StandardCopyOption.REPLACE_EXISTING);
    }
    Files.setPosixFilePermissions(aside, PosixFilePermissions.fromString("rwxr-xr-x"));
    Files.move(aside, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    return target;
  }
}
