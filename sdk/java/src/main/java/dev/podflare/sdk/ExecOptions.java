package dev.podflare.sdk;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * How code is run.
 *
 * {@snippet :
 * import dev.podflare.sdk.*;
 * import java.time.Duration;
 *
 * try (Sandbox sb = Podflare.create()) {
 *   sb.run("echo $STAGE; pwd", o -> o.language(Language.BASH).env("STAGE", "test").cwd("/tmp"));
 *   sb.run("while True: pass", o -> o.timeout(Duration.ofSeconds(1)));
 *   sb.run("print('at once')", o -> o.onStdout(System.out::print));
 * }
 * }
 *
 * @param language what it is written in
 * @param timeout of the whole call, waiting behind other calls included: after it, the code is
 *     interrupted, which keeps its variables, or never begins, and the {@code error} is named
 *     {@code QueuedTooLong}; null for no limit
 * @param env environment variables for this call only
 * @param cwd working directory for this call only
 * @param onStdout is given each piece of text as it is written
 * @param onStderr the same of the standard error output
 * @param onResult is given each value as it is shown
 * @param detach whether the code runs on when the call is left early
 */
public record ExecOptions(
    Language language,
    @Nullable Duration timeout,
    Map<String, String> env,
    @Nullable String cwd,
    @Nullable Consumer<String> onStdout,
    @Nullable Consumer<String> onStderr,
    @Nullable Consumer<Shown> onResult,
    boolean detach) {
  private static final ExecOptions PYTHON = builder().build();
  private static final ExecOptions BASH = builder().language(Language.BASH).build();

  public ExecOptions {
    env = Map.copyOf(env);
  }

  /** Python, with no limit of time. */
  public static ExecOptions python() {
    return PYTHON;
  }

  /** Bash, with no limit of time. */
  public static ExecOptions bash() {
    return BASH;
  }

  /** Starts with Python and no limit of time. */
  public static Builder builder() {
    return new Builder();
  }

  Map<String, @Nullable Object> fields(String code) {
    Map<String, @Nullable Object> fields = Call.fields();
    fields.put("code", code);
    fields.put("language", Words.of(language));
    fields.put("timeout_seconds", SandboxOptions.seconds(timeout));
    fields.put("env", env.isEmpty() ? null : env);
    fields.put("cwd", cwd);
    return fields;
  }

  /** Tells whoever listens of an event. */
  void tell(Event event) {
    if (event instanceof Event.Stdout out && onStdout != null) {
      onStdout.accept(out.text());
    } else if (event instanceof Event.Stderr err && onStderr != null) {
      onStderr.accept(err.text());
    } else if (event instanceof Event.Result result && onResult != null) {
      onResult.accept(result.value());
    }
  }

  /** Builds {@link ExecOptions}. */
  public static final class Builder {
    private Language language = Language.PYTHON;
    private @Nullable Duration timeout;
    private final Map<String, String> env = new LinkedHashMap<>();
    private @Nullable String cwd;
    private @Nullable Consumer<String> onStdout;
    private @Nullable Consumer<String> onStderr;
    private @Nullable Consumer<Shown> onResult;
    private boolean detach;

    private Builder() {}

    /** What the code is written in. */
    public Builder language(Language language) {
      this.language = language;
      return this;
    }

    /**
     * The limit of the whole call, waiting behind other calls included. After it the code is
     * interrupted, which keeps its variables, or never begins.
     */
    public Builder timeout(Duration timeout) {
      this.timeout = timeout;
      return this;
    }

    /** Adds an environment variable for this call only. */
    public Builder env(String name, String value) {
      env.put(name, value);
      return this;
    }

    /** Adds environment variables for this call only. */
    public Builder env(Map<String, String> variables) {
      env.putAll(variables);
      return this;
    }

    /** Working directory for this call only. */
    public Builder cwd(String cwd) {
      this.cwd = cwd;
      return this;
    }

    /**
     * Is given each piece of text as it is written. What it throws, the call throws, and the code
     * is interrupted.
     */
    public Builder onStdout(Consumer<String> onStdout) {
      this.onStdout = onStdout;
      return this;
    }

    /** The same of the standard error output. */
    public Builder onStderr(Consumer<String> onStderr) {
      this.onStderr = onStderr;
      return this;
    }

    /** Is given each value as it is shown. */
    public Builder onResult(Consumer<Shown> onResult) {
      this.onResult = onResult;
      return this;
    }

    /**
     * Lets the code run on when the call is left early: by an interrupt of the thread, a callback
     * that throws, or the end of a stream that is closed.
     */
    public Builder detach(boolean detach) {
      this.detach = detach;
      return this;
    }

    /** The options. */
    public ExecOptions build() {
      return new ExecOptions(language, timeout, env, cwd, onStdout, onStderr, onResult, detach);
    }
  }
}
