"""Prints the files below PF_PATH that match PF_PATTERN, the newest first."""
import glob
import os
import re
import sys

MOST = 200
LEFT_OUT = {".git", "node_modules"}
root, pattern = os.environ["PF_PATH"], os.environ["PF_PATTERN"]


def alternatives(text):
    """The patterns that one with {a,b} stands for."""
    found = re.search(r"\{([^{}]*)\}", text)
    if not found or "," not in found[1]:
        return [text]
    whole = (text[: found.start()] + part + text[found.end() :] for part in found[1].split(","))
    return [each for one in whole for each in alternatives(one)]


if not os.path.isdir(root):
    sys.exit(f"{root} is no directory. List what is there, and call again with one")
if len(alternatives(pattern)) > 64:
    sys.exit("the pattern stands for more than 64 others. Ask for fewer at once")
matches = {}
for one in alternatives(pattern):
    for name in glob.iglob(one, root_dir=root, recursive=True):
        path = os.path.normpath(os.path.join(root, name))
        if not LEFT_OUT.intersection(path.split("/")) and os.path.isfile(path):
            matches[path] = os.stat(path).st_mtime
newest = sorted(matches, key=matches.get, reverse=True)
print("\n".join(newest[:MOST]) or f"no file below {root} matches {pattern}")
if len(newest) > MOST:
    print(f"[{len(newest) - MOST} older ones are left out. Ask with a narrower pattern]")
