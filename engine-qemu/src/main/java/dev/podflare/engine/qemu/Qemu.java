package dev.podflare.engine.qemu;

import dev.podflare.host.Command;
import dev.podflare.host.HostException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * The QEMU that machines run in.
 *
 * @param root the directory that its libraries, firmware and data lie in
 * @param version such as {@code 7.2.22}
 * @param machineType the version of the machine that it plays
 */
record Qemu(Path root, String version, String machineType, Accelerator accelerator) {

  /** Names another root directory than the host's: docs/cli.md. */
  private static final String ROOT_VARIABLE = "PODFLARE_QEMU_ROOT";

  private static final String PROGRAM = "/usr/bin/qemu-system-x86_64";
  private static final Pattern VERSION = Pattern.compile("version (\\d+\\.\\d+\\.\\d+)");

  /**
   * The first that QEMU has is taken, so that a Space of one version of QEMU finds its machine in
   * the next. A machine type stays for six years: 7.2's until the end of 2028. The ones behind it
   * are for the versions of QEMU that have dropped those before.
   */
  private static final List<String> MACHINE_TYPES = List.of("pc-i440fx-7.2", "pc-i440fx-10.0");

  private static final List<String> SYSTEM_PATHS =
      List.of("usr", "lib", "lib64", "etc/ld.so.cache");

  static Qemu find() throws HostException {
    String named = System.getenv(ROOT_VARIABLE);
    return in(Path.of(named == null || named.isEmpty() ? "/" : named));
  }

  private static Qemu in(Path root) throws HostException {
    Path absolute = root.toAbsolutePath().normalize();
    if (!Files.isExecutable(absolute.resolve(PROGRAM.substring(1)))) {
      throw new HostException(
          absolute.equals(Path.of("/"))
              ? "QEMU is not installed; install the package qemu-system-x86"
              : ROOT_VARIABLE + " names " + absolute + ", but there is no " + PROGRAM + " in it");
    }
    String banner = ask(absolute, "--version");
    Matcher matcher = VERSION.matcher(banner);
    if (!matcher.find()) {
      throw new HostException("QEMU's version can't be told from: " + banner.lines().findFirst());
    }
    String version = matcher.group(1);
    return new Qemu(
        absolute,
        version,
        machineType(version, ask(absolute, "-machine", "help")),
        Accelerator.detect());
  }

  /** Of what QEMU says that it can play, the machine that is ours. */
  static String machineType(String version, String listed) throws HostException {
    Set<String> has =
        listed
            .lines()
            .map(line -> line.strip().split("\\s+", 2)[0])
            .collect(Collectors.toUnmodifiableSet());
    return MACHINE_TYPES.stream()
        .filter(has::contains)
        .findFirst()
        .orElseThrow(() ->
            new HostException(
                "QEMU "
                    + version
                    + " plays none of the machines "
                    + String.join(", ", MACHINE_TYPES)
                    + "; install version 7.2 or newer of the package qemu-system-x86"));
  }

  private static String ask(Path root, String... words) throws HostException {
    List<String> command = new ArrayList<>();
    if (!root.equals(Path.of("/"))) {
      command.addAll(List.of("chroot", root.toString()));
    }
    command.add(PROGRAM);
    command.addAll(List.of(words));
    return Command.of(command.toArray(String[]::new)).run();
  }

  /** The program, where a jail shows it. */
  String program() {
    return PROGRAM;
  }

  /** Where its libraries, firmware and data lie, by the name that a jail shows them under. */
  Map<String, Path> systemPaths() {
    return systemPaths(root);
  }

  static Map<String, Path> systemPaths(Path root) {
    return SYSTEM_PATHS.stream()
        .filter(name -> Files.exists(root.resolve(name)))
        .collect(Collectors.toMap(name -> name, root::resolve, (a, _) -> a, LinkedHashMap::new));
  }
}
