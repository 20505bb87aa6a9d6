package dev.podflare.sandbox;

import java.util.List;

/**
 * What sandboxes are cloned from: a name, and the Python that runs in it once before it is frozen,
 * so that what is slow to start is there already.
 *
 * @param name what users call it
 * @param warmUp Python code; runs outside of what the user's code will see, names aside
 */
public record Template(String name, String warmUp) {

  /** Plain Python. */
  public static final Template DEFAULT = new Template(CreateSandbox.DEFAULT_TEMPLATE, "");

  /** The usual packages for data, imported already. */
  public static final Template PYTHON_DATASCI =
      new Template(
          "python-datasci",
          """
          import numpy, pandas, scipy, scipy.stats, scipy.optimize, sklearn, matplotlib
          import sklearn.linear_model, sklearn.ensemble, sklearn.cluster, sklearn.preprocessing
          import matplotlib.pyplot as plt
          # The first figure and the first data frame cost far more than the later ones.
          figure = plt.figure()
          plt.plot([1, 2])
          plt.close(figure)
          pandas.DataFrame({"a": [1.0, 2.0]}).describe()._repr_html_()
          for name in ("numpy", "pandas", "scipy", "sklearn", "matplotlib", "plt", "figure", "name"):
              del globals()[name]
          """);

  /** The templates that every host has. */
  public static List<Template> builtIn() {
    return List.of(DEFAULT, PYTHON_DATASCI);
  }
}
