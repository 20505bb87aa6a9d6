package dev.podflare.worker;

import dev.podflare.sdk.Sandbox;
import dev.podflare.worker.Attachments.MountedFile;
import dev.podflare.worker.GuestScript.Deed;
import dev.podflare.worker.Provider.Call;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;

/** Files of the provider that a session has in its sandbox, read-only. */
final class FileMounts {
  private static final Duration TO_DOWNLOAD = Duration.ofMinutes(5);

  /** Documented: the largest file is 500 MB. */
  private static final long LARGEST = 512L << 20;

  private final Provider provider;
  private final String credential;

  FileMounts(Provider provider, String credential) {
    this.provider = provider;
    this.credential = credential;
  }

  /** Uploads a file beside its path; the caller knows that nothing is there. */
  Deed upload(Sandbox here, MountedFile file)
      throws ProviderException, MountException, InterruptedException {
    Path folder = null;
    try {
      folder = Files.createTempDirectory("podflare-worker-");
      Path local = folder.resolve("file");
      provider.download(
          credential,
          Call.get("/v1/files/" + file.id() + "/content").preview(""),
          local,
          LARGEST,
          TO_DOWNLOAD);
      String part = file.path() + ".podflare-part";
      here.files().write(part, local);
      return new Deed("file", Map.of("part", part, "path", file.path()));
    } catch (IOException full) {
      throw new MountException(
          "the worker's temporary directory can't be used: " + full.getMessage(), full);
    } finally {
      if (folder != null) {
        Trees.remove(folder);
      }
    }
  }
}
