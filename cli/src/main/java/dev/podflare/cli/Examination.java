package dev.podflare.cli;

import dev.podflare.cli.client.CommandFailure;
import dev.podflare.engine.EngineFacts;
import dev.podflare.engine.Isolation;
import dev.podflare.engine.qemu.QemuEngine;
import dev.podflare.host.ControlGroup;
import dev.podflare.host.HostException;
import dev.podflare.host.HostFirewall;
import dev.podflare.host.HostResolvers;
import dev.podflare.host.Memory;
import java.io.IOException;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/** The doctor's examination of this host. It changes nothing. */
final class Examination {

  private static final long GIB = 1L << 30;
  private static final List<String> PROGRAMS = List.of("qemu-img", "mke2fs", "ip", "nft", "setsid");

  private final List<Finding> findings = new ArrayList<>();

  private Examination() {}

  static List<Finding> of(Path dataDirectory, Path image, Supplier<Finding> server)
      throws CommandFailure {
    Examination examination = new Examination();
    examination.user();
    examination.isolation();
    examination.programs();
    examination.network();
    examination.limits();
    examination.memory();
    examination.disk(dataDirectory);
    examination.image(image);
    examination.findings.add(server.get());
    return List.copyOf(examination.findings);
  }

  private void user() {
    findings.add(
        "root".equals(System.getProperty("user.name"))
            ? Finding.ok("user", "root")
            : Finding.missing(
                "user",
                "not root, which namespaces, taps and a user for each sandbox need",
                "Run it through sudo; `podflare up` does so by itself."));
  }

  private void isolation() {
    Optional<EngineFacts> facts = QemuEngine.examine();
    if (facts.isEmpty()) {
      findings.add(
          Finding.missing(
              "QEMU", "qemu-system-x86_64 is not installed", "apt-get install qemu-system-x86"));
      return;
    }
    findings.add(Finding.ok("QEMU", facts.get().name()));
    findings.add(
        facts.get().isolation() == Isolation.KVM
            ? Finding.ok(
                "isolation",
                "kvm: " + facts.get().isolationReason() + ". " + facts.get().isolation().promise())
            : Finding.note(
                "isolation",
                "emulated: " + facts.get().isolationReason(),
                facts.get().isolation().promise()
                    + " Python in them is some 20 times slower, too."));
  }

  private void programs() {
    for (String program : PROGRAMS) {
      if (isOnPath(program)) {
        findings.add(Finding.ok(program, "is installed"));
      } else {
        findings.add(
            Finding.missing(
                program,
                "is not installed",
                "apt-get install qemu-utils e2fsprogs iproute2 nftables util-linux"));
      }
    }
  }

  private static boolean isOnPath(String program) {
    for (String directory :
        System.getenv().getOrDefault("PATH", "/usr/sbin:/usr/bin").split(":", -1)) {
      if (Files.isExecutable(Path.of(directory, program))) {
        return true;
      }
    }
    return false;
  }

  private void network() {
    findings.add(
        Files.exists(Path.of("/dev/net/tun"))
            ? Finding.ok("tap devices", "/dev/net/tun is there")
            : Finding.missing(
                "tap devices",
                "/dev/net/tun is missing",
                "modprobe tun, or allow it in the container"));
    names();
    firewall();
  }

  private void names() {
    try {
      List<String> resolvers = HostResolvers.ofHost().addresses();
      findings.add(
          resolvers.isEmpty()
              ? Finding.note(
                  "name resolution",
                  "the host has no resolver but on its loopback, where no sandbox may reach",
                  "Name an IPv4 resolver in /etc/resolv.conf, or in a file of the same form whose path"
                      + " is in PODFLARE_RESOLV_CONF.")
              : Finding.ok("name resolution", "sandboxes ask " + String.join(", ", resolvers)));
    } catch (HostException e) {
      findings.add(
          Finding.note(
              "name resolution", String.valueOf(e.getMessage()), "Make the file readable."));
    }
  }

  /** A server names its sandboxes in such chains by itself, as long as it runs and is let. */
  private void firewall() {
    try {
      List<String> chains = HostFirewall.closedToSandboxes();
      findings.add(
          chains.isEmpty()
              ? Finding.ok("firewall", "lets sandboxes' packets through")
              : Finding.note(
                  "firewall",
                  "what sandboxes send is dropped by " + String.join(", ", chains),
                  "A server that starts adds rules for them. If it can't: "
                      + chains.stream()
                          .map(HostFirewall::remedy)
                          .collect(Collectors.joining(" && "))));
    } catch (HostException e) {
      findings.add(
          Finding.note(
              "firewall",
              "the host's rules can't be read: " + e.getMessage(),
              "Run it through sudo, with nft installed."));
    }
  }

  private void limits() {
    List<String> missing = ControlGroup.unavailable();
    findings.add(
        missing.isEmpty()
            ? Finding.ok("control groups", "limit memory and tasks of each sandbox")
            : Finding.note(
                "control groups",
                "can't limit " + String.join(", ", missing),
                "Mount the memory and pids controllers, or give them to this container."));
  }

  private void memory() throws CommandFailure {
    try {
      long free = Memory.available();
      String detail = free / GIB + " GiB of " + Memory.total() / GIB + " GiB are free";
      findings.add(
          free > GIB
              ? Finding.ok("memory", detail)
              : Finding.missing("memory", detail, "Free at least 1 GiB."));
    } catch (HostException e) {
      throw new CommandFailure("the host does not tell its memory", e);
    }
  }

  private void disk(Path dataDirectory) throws CommandFailure {
    Path existing = dataDirectory;
    for (Path parent = existing; parent != null && !Files.exists(existing); ) {
      parent = existing.getParent();
      existing = parent == null ? Path.of("/") : parent;
    }
    try {
      FileStore store = Files.getFileStore(existing);
      String detail = store.getUsableSpace() / GIB + " GiB are free for " + dataDirectory;
      findings.add(
          store.getUsableSpace() > 4 * GIB
              ? Finding.ok("disk", detail)
              : Finding.missing(
                  "disk",
                  detail,
                  "Free at least 4 GiB, or give `podflare up` another --data-dir."));
    } catch (IOException e) {
      throw new CommandFailure("the disk of " + existing + " can't be examined", e);
    }
  }

  private void image(Path image) {
    findings.add(
        Files.exists(image.resolve("image.json"))
            ? Finding.ok("guest image", "is in " + image)
            : Finding.note(
                "guest image", "is not built yet", "`podflare up` builds it; that takes minutes."));
  }
}
