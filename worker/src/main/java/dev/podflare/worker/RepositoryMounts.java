package dev.podflare.worker;

import dev.podflare.sdk.Sandbox;
import dev.podflare.worker.Attachments.Repository;
import dev.podflare.worker.GuestScript.Deed;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * Repositories that a session has in its sandbox. The worker clones one without a working tree, so
 * that nothing of it is run or unpacked here, and hands it over as a bundle: the token stays here.
 */
final class RepositoryMounts {
  private static final Duration TO_CLONE = Duration.ofMinutes(10);

  /** In blocks of 512 bytes, as ulimit counts: no file of a clone may be larger than 2 GiB. */
  private static final long LARGEST_IN_BLOCKS = 4L << 20;

  private static final int LONGEST_COMPLAINT = 4096;

  /** Of this program's environment, what git needs to reach the outside. */
  private static final List<String> PASSED_ON =
      List.of("PATH", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "SSL_CERT_FILE");

  private final GitHost host;

  RepositoryMounts(GitHost host) {
    this.host = host;
  }

  /** Uploads a bundle; what is left to do makes a working tree of it. */
  Deed upload(Sandbox here, Repository repository) throws MountException, InterruptedException {
    if (!host.isHostOf(repository)) {
      throw new MountException(
          repository.url().getHost()
              + " is not the host that repositories are cloned from, "
              + host
              + "; start the worker with --git-host to change that");
    }
    Path folder = null;
    try {
      folder = Files.createTempDirectory("podflare-worker-");
      Path clone = folder.resolve("clone");
      List<String> cloned = new ArrayList<>(List.of("clone", "--quiet", "--bare"));
      repository
          .branch()
          .ifPresent(name -> cloned.addAll(List.of("--single-branch", "--branch", name)));
      cloned.addAll(List.of("--", repository.url().toString(), clone.toString()));
      git(folder, cloned);
      Path bundle = folder.resolve("bundle");
      List<String> bundled =
          new ArrayList<>(List.of("--git-dir", clone.toString(), "bundle", "create", "--quiet"));
      bundled.addAll(List.of(bundle.toString(), "HEAD", "--branches", "--tags"));
      git(folder, bundled);
      String uploaded = GuestScript.part();
      here.files().write(uploaded, bundle);
      return new Deed(
          "repository",
          Map.of(
              "bundle",
              uploaded,
              "path",
              repository.path(),
              "url",
              repository.url().toString(),
              "commit",
              repository.commit().orElse("")));
    } catch (IOException unusable) {
      throw new MountException(
          "git or the temporary directory can't be used on the worker's machine: "
              + unusable.getMessage(),
          unusable);
    } finally {
      if (folder != null) {
        Trees.remove(folder);
      }
    }
  }

  private void git(Path folder, List<String> words)
      throws IOException, MountException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.addAll(
        List.of("/bin/sh", "-c", "ulimit -f " + LARGEST_IN_BLOCKS + " && exec git \"$@\"", "git"));
    command.addAll(words);
    Path complaints = folder.resolve("complaints");
    ProcessBuilder builder =
        new ProcessBuilder(command)
            .directory(folder.toFile())
            .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()))
            .redirectErrorStream(true)
            .redirectOutput(complaints.toFile());
    settle(builder.environment(), folder);
    Process process = builder.start();
    boolean isDone = false;
    try {
      isDone = process.waitFor(TO_CLONE.toMillis(), TimeUnit.MILLISECONDS);
    } finally {
      if (!isDone) {
        process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly();
      }
    }
    if (!isDone) {
      throw new MountException("git did not end within " + TO_CLONE.toMinutes() + " minutes");
    }
    if (process.exitValue() != 0) {
      throw new MountException("git: " + Json.said(complaint(complaints)));
    }
  }

  /** What git may know: nothing of this user's settings and credentials, and only https. */
  private void settle(Map<String, String> environment, Path folder) {
    Map<String, String> passed = new HashMap<>(environment);
    passed.keySet().retainAll(PASSED_ON);
    environment.clear();
    environment.putAll(passed);
    environment.putAll(
        Map.of(
            "HOME", folder.toString(),
            "LC_ALL", "C",
            "GIT_CONFIG_NOSYSTEM", "1",
            "GIT_CONFIG_GLOBAL", "/dev/null",
            "GIT_TERMINAL_PROMPT", "0",
            "GIT_ALLOW_PROTOCOL", "https"));
    Map<String, String> settings = new HashMap<>();
    settings.put("http.followRedirects", "false");
    settings.put("http.lowSpeedLimit", "1000");
    settings.put("http.lowSpeedTime", "60");
    settings.put("core.hooksPath", "/dev/null");
    // As settings in the environment, since every user of a machine can read arguments.
    host.authorization()
        .ifPresent(header -> settings.put("http." + host.url() + ".extraHeader", header));
    host.authorities()
        .ifPresent(file ->
            settings.put("http." + host.url() + ".sslCAInfo", file.toAbsolutePath().toString()));
    int count = 0;
    for (Map.Entry<String, String> setting : settings.entrySet()) {
      environment.put("GIT_CONFIG_KEY_" + count, setting.getKey());
      environment.put("GIT_CONFIG_VALUE_" + count++, setting.getValue());
    }
    environment.put("GIT_CONFIG_COUNT", String.valueOf(count));
  }

  private static String complaint(Path file) throws IOException {
    try (InputStream in = Files.newInputStream(file)) {
      return new String(in.readNBytes(LONGEST_COMPLAINT), StandardCharsets.UTF_8)
          .strip()
          .replace('\n', ' ');
    }
  }
}
