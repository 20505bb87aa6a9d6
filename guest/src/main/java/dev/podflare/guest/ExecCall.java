package dev.podflare.guest;

import java.time.Instant;
import java.util.Map;
import java.util.Optional;

/**
 * Code to run in a guest.
 *
 * @param env environment variables for this exec only
 * @param cwd directory for this exec only; empty for {@code /root}, or where Python has gone to
 * @param background whether whoever takes the machine over shall not wait for its end, see {@link
 *     AgentConnection#rejoin()}
 * @param unseen of Python only: whether it runs in a namespace of its own, and neither counts nor
 *     is in any history, so that of what it does only modules, files and processes stay
 * @param time the host's, to which a clock that a pause has stopped is set; empty leaves it alone
 */
public record ExecCall(
    Language language,
    String code,
    Map<String, String> env,
    Optional<String> cwd,
    boolean background,
    boolean unseen,
    Optional<Instant> time) {

  /** What a guest can run. */
  public enum Language {
    /** In the one Python process that stays alive. */
    PYTHON("python"),
    /** In a fresh bash. */
    BASH("bash");

    private final String word;

    Language(String word) {
      this.word = word;
    }

    String word() {
      return word;
    }
  }

  public ExecCall {
    env = Map.copyOf(env);
  }

  /** One that is not in the background, in a guest whose clock is right. */
  public ExecCall(Language language, String code, Map<String, String> env, Optional<String> cwd) {
    this(language, code, env, cwd, false, false, Optional.empty());
  }

  /** Code of the host's own, which who uses the guest later shall not meet. */
  public static ExecCall unseen(Language language, String code) {
    return new ExecCall(
        language,
        code,
        Map.of(),
        Optional.empty(),
        false,
        language == Language.PYTHON,
        Optional.empty());
  }
}
