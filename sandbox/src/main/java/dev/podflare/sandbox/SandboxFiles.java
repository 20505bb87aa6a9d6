package dev.podflare.sandbox;

import dev.podflare.guest.GuestEntry;
import dev.podflare.guest.GuestException;
import dev.podflare.guest.GuestFile;
import dev.podflare.guest.GuestListing;
import java.io.IOException;
import java.io.InputStream;
import java.util.Comparator;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;

/** The files of one sandbox. */
final class SandboxFiles {

  private final Sandbox sandbox;

  SandboxFiles(Sandbox sandbox) {
    this.sandbox = sandbox;
  }

  long write(String path, Optional<Integer> mode, InputStream content)
      throws IOException, InterruptedException {
    OptionalInt bits = mode.map(OptionalInt::of).orElse(OptionalInt.empty());
    try (Sandbox.Use use = sandbox.use()) {
      return use.agent().put(path, bits, content);
    }
  }

  FileContent read(String path) throws GuestException, InterruptedException {
    Sandbox.Use use = sandbox.use();
    boolean begun = false;
    try {
      GuestFile file = use.agent().get(path);
      begun = true;
      return new FileContent(file.size(), new UsedInputStream(file.content(), use));
    } finally {
      if (!begun) {
        use.close();
      }
    }
  }

  FileListing list(String path) throws GuestException, InterruptedException {
    try (Sandbox.Use use = sandbox.use()) {
      GuestListing listing = use.agent().list(path);
      return new FileListing(
          listing.entries().stream()
              .map(SandboxFiles::entry)
              .sorted(Comparator.comparing(FileListing.Entry::name))
              .toList(),
          listing.truncated());
    }
  }

  private static FileListing.Entry entry(GuestEntry entry) {
    return new FileListing.Entry(
        entry.name(),
        entry.type().name().toLowerCase(Locale.ROOT),
        entry.size(),
        entry.mode(),
        entry.modified());
  }

  void remove(String path, boolean recursive) throws GuestException, InterruptedException {
    try (Sandbox.Use use = sandbox.use()) {
      use.agent().remove(path, recursive);
    }
  }
}
