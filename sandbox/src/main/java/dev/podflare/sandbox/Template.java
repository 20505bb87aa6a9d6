package dev.podflare.sandbox;

import java.util.List;

/**
 * What sandboxes are cloned from: a name, and the Python that runs in it once before it is frozen,
 * so that what is slow to start is there already.
 *
 * @param name what users call it
 * @param alike the name of the template whose snapshot and waiting machines it shares, which has
 *     the same warm-up; its own name if it has its own
 * @param warmUp Python code; runs outside of what the user's code will see, names aside
 */
public record Template(String name, String alike, String warmUp) {

  private static final String USUAL_LIBRARIES = Resources.text(Template.class, "warm-up.py");

  /** Python with the usual libraries imported already. */
  public static final Template DEFAULT =
      new Template(CreateSandbox.DEFAULT_TEMPLATE, USUAL_LIBRARIES);

  /** Another name of the default one, from when that had nothing imported. */
  public static final Template PYTHON_DATASCI =
      new Template("python-datasci", DEFAULT.name(), USUAL_LIBRARIES);

  /** A template with a snapshot and machines of its own. */
  public Template(String name, String warmUp) {
    this(name, name, warmUp);
  }

  /** The templates that every host has. */
  public static List<Template> builtIn() {
    return List.of(DEFAULT, PYTHON_DATASCI);
  }
}
