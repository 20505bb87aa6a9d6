package dev.podflare.host;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A number that no other microVM of this host has, whichever server runs it. User id, network
 * addresses and interface names follow from it.
 *
 * <p>A lease is a file whose content is the directory of the microVM that holds it. It outlives the
 * server, as the microVM may. A lease whose directory is gone belongs to nobody and is taken over.
 *
 * @param number from 0 to {@value #MOST} - 1
 */
public record Lease(int number) {

  /** How many microVMs one host can run: what fits the address range of {@link SandboxNetwork}. */
  public static final int MOST = 4096;

  private static final Path DIRECTORY = HostLock.DIRECTORY.resolve("leases");

  public Lease {
    if (number < 0 || number >= MOST) {
      throw new IllegalArgumentException("no such lease: " + number);
    }
  }

  /**
   * Takes the lowest free number.
   *
   * @param holder the directory of the microVM, which must exist
   * @throws HostException if all are taken
   */
  public static Lease take(Path holder) throws HostException {
    try (var _ = HostLock.acquire()) {
      Files.createDirectories(DIRECTORY);
      for (int number = 0; number < MOST; number++) {
        Lease lease = new Lease(number);
        if (!lease.isHeld()) {
          Files.writeString(lease.file(), holder.toAbsolutePath().toString());
          return lease;
        }
      }
    } catch (IOException e) {
      throw new HostException("leases can't be kept in " + DIRECTORY, e);
    }
    throw new HostException("all " + MOST + " microVM numbers of this host are taken");
  }

  private Path file() {
    return DIRECTORY.resolve(Integer.toString(number));
  }

  private boolean isHeld() throws IOException {
    if (!Files.exists(file())) {
      return false;
    }
    String holder = Files.readString(file());
    return !holder.isEmpty() && Files.exists(Path.of(holder));
  }

  /**
   * Gives the number back. Whatever was named after it must be gone. Does nothing if somebody else
   * has it by now.
   *
   * @param holder who took it
   */
  public void release(Path holder) throws HostException {
    try (var _ = HostLock.acquire()) {
      if (Files.exists(file())
          && Files.readString(file()).equals(holder.toAbsolutePath().toString())) {
        Files.delete(file());
      }
    } catch (IOException e) {
      throw new HostException("lease " + number + " can't be given back", e);
    }
  }

  /** A user that owns nothing but this microVM: outside the ranges that distributions hand out. */
  public int userId() {
    return 1_879_000_000 + number;
  }
}
