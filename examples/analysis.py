#!/usr/bin/python3
"""Data analysis: a table goes into a sandbox, numbers and a plot come out.

    examples/analysis.py [PLOT.png]

No model, no key. The plot is the `image/png` of a result, as a notebook would show it; `fig.savefig` in the sandbox and
`sandbox.download` would do as well, for sizes and formats of one's own.
"""

from __future__ import annotations

import argparse
import base64
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "sdk" / "python" / "src"))
from podflare import ExecResult, PodflareError, Sandbox  # noqa: E402

LOAD = """
import pandas as pd
co2 = pd.read_csv('/root/co2.csv', parse_dates=[0], index_col=0).iloc[:, 0]
yearly = co2.resample('YS').mean().dropna()
len(co2)
"""
DESCRIBE = """
per_year = yearly.diff().dropna()
pd.DataFrame({'first': [yearly.iloc[0]], 'last': [yearly.iloc[-1]], 'rise a year': [per_year.mean()]}).round(2)
"""
PLOT = """
import matplotlib.pyplot as plt
fig, ax = plt.subplots(figsize=(7, 4))
ax.plot(yearly.index, yearly)
ax.set(title='CO2 in the air of Mauna Loa', ylabel='ppm')
plt.show()
"""


def run(sandbox: Sandbox, code: str) -> ExecResult:
    ran = sandbox.run_code(code, timeout=120)
    if ran.exit_code != 0:
        raise SystemExit(f"the analysis failed:\n{ran.stderr}")
    return ran


def main(target: Path) -> None:
    with Sandbox(egress=False) as sandbox:
        with open(HERE / "data" / "co2.csv", "rb") as table:
            sandbox.upload("co2.csv", table)
        rows = run(sandbox, LOAD).result
        print(f"{rows['text/plain']} measurements")
        print(run(sandbox, DESCRIBE).result["text/plain"])
        figure = run(sandbox, PLOT).results[-1]
        target.write_bytes(base64.b64decode(figure["image/png"]))
        print(f"the plot is in {target}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "plot", nargs="?", type=Path, default=Path("co2.png"), help="where the plot goes (co2.png)"
    )
    try:
        main(parser.parse_args().plot)
    except PodflareError as error:
        sys.exit(f"{Path(__file__).name}: {error}")
