package dev.podflare.engine.qemu;

import dev.podflare.engine.Isolation;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * How QEMU runs a guest's instructions, and why that way.
 *
 * <p>KVM is used only if the processor shows hardware virtualization. A host may offer {@code
 * /dev/kvm} without it (KVM by paravirtualization): creating a machine works there, yet a stock
 * guest kernel never gets past its decompressor. So the flag decides, not the device.
 *
 * @param isolation what follows for the guest
 * @param reason one clause for the operator
 */
record Accelerator(Isolation isolation, String reason) {

  private static final Path DEVICE = Path.of("/dev/kvm");

  /** Asks this host. */
  static Accelerator detect() {
    Optional<String> flag = virtualizationFlag();
    if (flag.isEmpty()) {
      return new Accelerator(
          Isolation.EMULATED,
          Files.exists(DEVICE)
              ? "/dev/kvm is there, but the processor shows neither vmx nor svm, so no stock kernel"
                  + " would boot"
              : "the processor shows neither vmx nor svm");
    }
    // Never through a class that would make a file of that name where there is none.
    try (var _ = FileChannel.open(DEVICE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      return new Accelerator(
          Isolation.KVM, "the processor has " + flag.get() + " and /dev/kvm opens");
    } catch (IOException e) {
      return new Accelerator(
          Isolation.EMULATED,
          "the processor has " + flag.get() + ", but /dev/kvm does not open: " + e);
    }
  }

  private static Optional<String> virtualizationFlag() {
    return processorLine("flags")
        .flatMap(flags -> {
          Set<String> all = Set.of(flags.split("\\s+"));
          return List.of("vmx", "svm").stream().filter(all::contains).findFirst();
        });
  }

  /** What the first processor of /proc/cpuinfo says under this name. */
  private static Optional<String> processorLine(String name) {
    try {
      return Files.readAllLines(Path.of("/proc/cpuinfo")).stream()
          .filter(line -> line.startsWith(name))
          .map(line -> line.substring(line.indexOf(':') + 1).strip())
          .findFirst();
    } catch (IOException e) {
      return Optional.empty();
    }
  }

  /** The processor that guests see. Part of every snapshot, since a running guest relies on it. */
  String processor() {
    return switch (isolation) {
      case KVM -> "host";
      case EMULATED -> "max";
    };
  }

  /** Changes when a snapshot would find another processor than the one it was made on. */
  String processorFingerprint() {
    return switch (isolation) {
      case KVM ->
          processorLine("model name").orElse("?") + "|" + processorLine("flags").orElse("?");
      case EMULATED -> "software";
    };
  }

  /**
   * QEMU's option for a machine of so many processors. The translation cache is bounded: by default
   * each process would grow to about 60 MB of it. With one processor one thread is enough, and its
   * code needs no atomic instructions for the others' sake, which makes an exec some 15% cheaper.
   */
  String option(int cpus) {
    return switch (isolation) {
      case KVM -> "kvm";
      case EMULATED -> "tcg,tb-size=32,thread=" + (cpus == 1 ? "single" : "multi");
    };
  }
}
