package dev.podflare.sdk;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * How a template is built. What is null is left out.
 *
 * @param name lower-case letters, digits and hyphens, a letter first
 * @param base what it starts from
 * @param script bash, run as root with the internet
 * @param packages packages of the distribution
 * @param warmUp Python that is run last, so that its imports are in every sandbox
 * @param timeout how long the build may take
 */
public record TemplateSpec(
    String name,
    @Nullable String base,
    @Nullable String script,
    List<String> packages,
    @Nullable String warmUp,
    @Nullable Duration timeout) {
  public TemplateSpec {
    packages = List.copyOf(packages);
  }

  /** A template of this name that is as its base. */
  public static TemplateSpec named(String name) {
    return new TemplateSpec(name, null, null, List.of(), null, null);
  }

  /** Starts from this template. */
  public TemplateSpec withBase(String base) {
    return new TemplateSpec(name, base, script, packages, warmUp, timeout);
  }

  /** Runs this in bash. */
  public TemplateSpec withScript(String script) {
    return new TemplateSpec(name, base, script, packages, warmUp, timeout);
  }

  /** Installs these packages of the distribution. */
  public TemplateSpec withPackages(String... packages) {
    return new TemplateSpec(name, base, script, List.of(packages), warmUp, timeout);
  }

  /** Runs this Python last. */
  public TemplateSpec withWarmUp(String warmUp) {
    return new TemplateSpec(name, base, script, packages, warmUp, timeout);
  }

  /** Gives the build so much time. */
  public TemplateSpec withTimeout(Duration timeout) {
    return new TemplateSpec(name, base, script, packages, warmUp, timeout);
  }

  Map<String, @Nullable Object> fields() {
    Map<String, @Nullable Object> fields = Call.fields();
    fields.put("name", name);
    fields.put("from", base);
    fields.put("script", script);
    fields.put("packages", packages.isEmpty() ? null : packages);
    fields.put("warm", warmUp);
    fields.put("timeout_seconds", SandboxOptions.seconds(timeout));
    return fields;
  }
}
