# Cells that a template's machine runs, each in a namespace of its own, before sandboxes are forked from it: Rehearsal.java.

# %% The smallest ones, in their two forms.
1

# %%
x = [1, 2, 3]
print("a", x, sum(x))
x

# %%
import os, sys, re, json, math, random, datetime, collections, itertools, pathlib, hashlib, csv, io

json.loads(json.dumps({"a": [1, 2.5, None, True], "b": {"c": "d"}}, indent=2))
re.findall(r"(\w+)@(\w+)\.com", "someone@example.com")
os.listdir("/"), os.environ.get("HOME"), os.getcwd(), os.path.exists("/tmp")
sorted(collections.Counter("abracadabra").items())
random.random(), random.randint(1, 6), math.sqrt(2), datetime.datetime.now().isoformat()
list(csv.reader(io.StringIO("a,b\n1,2\n")))
hashlib.sha256(b"a").hexdigest()
f"{math.pi:.3f} {'a':>10} {1234567:,}"

# %%
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __repr__(self):
        return f"Point({self.x}, {self.y})"

print(fib(10), Point(1, 2))
[Point(i, i * i) for i in range(3)]

# %%
import tempfile, pathlib

with tempfile.TemporaryDirectory() as directory:
    path = pathlib.Path(directory) / "a.txt"
    path.write_text("a\nb\n")
    with open(path) as file:
        for line in file:
            print(line.strip())

# %%
import subprocess

subprocess.run(["true"])
subprocess.run("echo a", shell=True, capture_output=True, text=True).stdout

# %%
import asyncio

async def wait(n):
    await asyncio.sleep(0)
    return n

await asyncio.gather(wait(1), wait(2))

# %%
import asyncio

async def main():
    await asyncio.sleep(0)

asyncio.run(main())

# %%
import threading, time

thread = threading.Thread(target=time.sleep, args=(0.001,))
thread.start()
thread.join()

# %% An error, as it is shown.
def inner():
    return {}["missing"]

def outer():
    return inner()

outer()

# %%
import not_installed_anywhere

# %%
this is no Python

# %%
import numpy as np

a = np.arange(12.0).reshape(3, 4)
b = np.random.default_rng(0).normal(size=(50, 50))
np.random.rand(3)
b @ b, a.mean(axis=0), a.std(), np.linalg.inv(b), np.sort(b, axis=None)[:3], np.linspace(0, 1, 5)
np.where(a > 3, a, 0)
a

# %%
import io
import pandas as pd

frame = pd.read_csv(io.StringIO(
    "name,team,score,when\na,x,1.5,2024-01-01\nb,y,2.5,2024-01-02\nc,x,,2024-01-03\nd,y,4,2024-01-04\n"), parse_dates=["when"])
print(frame.head())
frame.info()
print(frame.describe())
print(frame.groupby("team")["score"].agg(["mean", "sum", "count"]))
frame["twice"] = frame.score.fillna(0) * 2
frame.sort_values("score", ascending=False).merge(frame[["name", "team"]], on="name")
frame.pivot_table(index="team", values="score")
frame[frame.score > 2].to_csv(index=False)
frame.value_counts("team")
frame

# %%
import matplotlib.pyplot as plt
import numpy as np

x = np.linspace(0, 10, 50)
figure, axes = plt.subplots(figsize=(8, 5))
axes.plot(x, np.sin(x), label="sine")
axes.bar([1, 2, 3], [0.1, 0.2, 0.3])
axes.scatter(x, np.cos(x), s=8)
axes.set_title("A figure of 2024")
axes.set_xlabel("x")
axes.set_ylabel("y")
axes.legend()
axes.grid(True)
plt.tight_layout()
plt.show()

# %%
import matplotlib.pyplot as plt

plt.plot([1, 2, 3], [4, 5, 6])
plt.title("Another")
plt.hist([1, 1, 2, 3], bins=3)

# %%
import matplotlib.pyplot as plt

plt.close("all")

# %% What is left of it shall not be looked at by every collection, and so copied.
import gc

gc.collect()
gc.freeze()
