package dev.podflare.engine.qemu;

import dev.podflare.engine.Isolation;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

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

  /**
   * The oldest model that has all of x86-64-v3, less what the emulation of QEMU 7.2 lacks. Versions
   * 7.2 to 10 play it alike, and refuse it ({@code enforce}) if they ever did not.
   *
   * <p>It has no {@code erms}: a kernel and a libc that see it copy and clear memory with {@code
   * rep movsb}, which is emulated byte by byte, so that both take twice as long. {@code monitor}
   * would let several idle processors spin, and machines in a machine ({@code svm}) are nobody's
   * need.
   */
  private static final String EMULATED_MODEL =
      "EPYC-v1,enforce=on,svm=off,monitor=off,rdseed=off,sha-ni=off,fxsr-opt=off,misalignsse=off"
          + ",3dnowprefetch=off,osvw=off,topoext=off,xsavec=off";

  /**
   * With KVM it is the host's own model, since instructions run as they are: a named one would take
   * from every sandbox what is new in its host (AVX-512, AMX, SHA), to let a Space move to an older
   * one. {@code migratable} leaves out what can't be carried on, above all a clock that is promised
   * never to change its rate; counters of the host's performance and machines in a machine are not
   * shown, as both would open more of the host's kernel to the guest.
   */
  private static final String HOSTS_OWN = "host,migratable=on,pmu=off,vmx=off,svm=off";

  private static final Pattern RELIED =
      Pattern.compile(
          "(sse|ssse|pni|avx|amx|bmi|fma|sha|vaes|vpclmul|gfni|mov(be|dir)|xsave|xgetbv).*"
              + "|aes|pclmulqdq|f16c|abm|popcnt|cx16|lahf_lm|adx|rdrand|rdseed|rdtscp|rdpid|erms|fsrm"
              + "|fsgsbase|pcid|invpcid|clflushopt|clwb|cldemote|serialize|waitpkg|rtm|hle|la57|pku"
              + "|ospke|smap|smep|umip|pdpe1gb|3dnow.*|sm[34]|kl|widekl|wbnoinvd|clzero|user_shstk"
              + "|uintr|enqcmd|fred|lam|tbm|xop|lwp");

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

  /**
   * The processor that guests see. A running guest relies on it, so it is the same whichever
   * version of QEMU plays it: a named model with named flags, and never one that is defined as all
   * that this version can do.
   */
  String processor() {
    return switch (isolation) {
      case KVM -> HOSTS_OWN;
      case EMULATED -> EMULATED_MODEL;
    };
  }

  /** Changes when a snapshot would find another processor than the one it was made on. */
  String processorFingerprint() {
    return switch (isolation) {
      case KVM ->
          processor()
              + "|"
              + processorLine("vendor_id").orElse("?")
              + "|"
              + relied(processorLine("flags").orElse(""));
      case EMULATED -> processor();
    };
  }

  /**
   * Of the flags in /proc/cpuinfo those by which a guest's programs choose their instructions, or
   * its kernel the form of saved state. The others come and go with microcode and kernels: most
   * tell of the cure for a fault of the processor, and a guest is none the worse for one more or
   * less.
   */
  static String relied(String flags) {
    return Arrays.stream(flags.split("\\s+"))
        .filter(flag -> RELIED.matcher(flag).matches())
        .sorted()
        .distinct()
        .collect(Collectors.joining(" "));
  }

  /**
   * What a guest's kernel is told, with a blank before it.
   *
   * <p>Emulated, code is translated for the address that it is at. So each process would be
   * translated anew if its addresses were random: bash takes 12 ms with the same ones, and 45 with
   * others. What that randomness makes harder is an attack on a program in a guest, from within or
   * by what it reads; the walls of a sandbox do not rest on it.
   */
  String kernelOptions() {
    return isolation == Isolation.EMULATED ? " norandmaps" : "";
  }

  /**
   * QEMU's option for a machine of so many processors. The translation cache is bounded, and so
   * large that what agents usually run fits: one that overflows begins anew, and pandas is
   * translated twice before it is imported. With one processor one thread is enough, and its code
   * needs no atomic instructions for the others' sake, which makes an exec some 15% cheaper.
   */
  String option(int cpus) {
    return switch (isolation) {
      case KVM -> "kvm";
      case EMULATED -> "tcg,tb-size=256,thread=" + (cpus == 1 ? "single" : "multi");
    };
  }
}
