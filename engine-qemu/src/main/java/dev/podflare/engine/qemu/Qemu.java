package dev.podflare.engine.qemu;

import dev.podflare.host.Command;
import dev.podflare.host.HostException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The QEMU that is installed here.
 *
 * @param binary the program
 * @param version such as {@code 7.2.22}
 */
record Qemu(Path binary, String version, Accelerator accelerator) {

  private static final List<Path> PLACES =
      List.of(Path.of("/usr/bin/qemu-system-x86_64"), Path.of("/usr/libexec/qemu-kvm"));
  private static final Pattern VERSION = Pattern.compile("version (\\d+\\.\\d+\\.\\d+)");

  static Qemu find() throws HostException {
    Path binary =
        PLACES.stream()
            .filter(Files::isExecutable)
            .findFirst()
            .orElseThrow(() ->
                new HostException("QEMU is not installed; install the package qemu-system-x86"));
    String banner = Command.of(binary.toString(), "--version").run();
    Matcher matcher = VERSION.matcher(banner);
    if (!matcher.find()) {
      throw new HostException("QEMU's version can't be told from: " + banner.lines().findFirst());
    }
    return new Qemu(binary, matcher.group(1), Accelerator.detect());
  }

  /** Where QEMU's libraries, firmware and data lie; shown read-only in every jail. */
  static List<Path> systemPaths() {
    return List.of(Path.of("/usr"), Path.of("/lib"), Path.of("/lib64"), Path.of("/etc/ld.so.cache"))
        .stream()
        .filter(path -> Files.exists(path))
        .toList();
  }
}
