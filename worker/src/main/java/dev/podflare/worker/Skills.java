package dev.podflare.worker;

import dev.podflare.sdk.Sandbox;
import dev.podflare.worker.GuestScript.Deed;
import dev.podflare.worker.Provider.Call;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.regex.Pattern;
import tools.jackson.databind.JsonNode;

/** The skills of a session's agent: downloaded here, unpacked in its sandbox. */
final class Skills {
  /** The documented place, below the directory that agents work in. */
  static final String ROOT = "/workspace/skills";

  /** Where the tools' relative paths begin. */
  private static final String LINK = "/root/skills";

  private static final Logger LOG = System.getLogger(Skills.class.getPackageName());

  private static final Duration PATIENCE = Duration.ofSeconds(20);
  private static final Duration TO_DOWNLOAD = Duration.ofMinutes(2);

  /** More than the 30 MB that an upload may have. */
  private static final long LARGEST_ARCHIVE = 32L << 20;

  private static final Pattern NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,99}");

  private final Provider provider;
  private final String credential;
  private final SkillCache cache;

  Skills(Provider provider, String credential, SkillCache cache) {
    this.provider = provider;
    this.credential = credential;
    this.cache = cache;
  }

  /** Uploads a skill; what is left to do puts it in place of an earlier version. */
  Deed upload(Sandbox here, Attachments.Skill skill)
      throws ProviderException, MountException, InterruptedException {
    String versions = "/v1/skills/" + skill.id() + "/versions/";
    // The provider is always asked, so that a skill that was withdrawn is not taken from the cache,
    // and "latest" is resolved. Previews of skills would select an older shape of the answer.
    JsonNode version =
        provider.json(credential, Call.get(versions + skill.version()).preview(""), PATIENCE);
    String id = Json.id(version, "id");
    String name = version.path("name").asString("").strip();
    if (!NAME.matcher(name).matches()) {
      LOG.log(Level.WARNING, "skill {0}: {1} is no name for it", skill.id(), Json.said(name));
      name = skill.id();
    }
    Path archive =
        cache.get(
            skill.id() + "/" + id,
            part ->
                provider.download(
                    credential,
                    Call.get(versions + id + "/content").preview(""),
                    part,
                    LARGEST_ARCHIVE,
                    TO_DOWNLOAD));
    String uploaded = GuestScript.part();
    here.files().write(uploaded, archive);
    LOG.log(Level.INFO, "skill {0} version {1}: {2}/{3}", skill.id(), id, ROOT, name);
    return new Deed("skill", Map.of("archive", uploaded, "root", ROOT, "name", name, "link", LINK));
  }
}
