"""Does things to files of the sandbox for the worker: PF_REQUEST lists them, as JSON; prints what came of each, as JSON.

The worker trusts nothing that is printed here. Whatever is unpacked came from a stranger, so it is unpacked here, in the
sandbox, and never on the worker's machine. What only some deeds need is imported by them: a start is to cost little.
"""

import json
import os
import stat

MARKER = ".podflare-memory-store"
PART = ".podflare-part"
MOST_FILES = 4096
LARGEST_MEMORY = 102_400
MOST_MEMBERS = 4096
MOST_UNPACKED = 256 << 20
SPECIAL = (stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK)
UNIX_HOSTS = (3, 19)


class Refused(Exception):
    """It is not done; the text says why."""


def absent(paths):
    """Return the paths at which nothing exists, or only an empty directory."""
    return [path for path in paths if not os.path.lexists(path) or is_empty_directory(path)]


def is_empty_directory(path):
    return os.path.isdir(path) and not os.path.islink(path) and not os.listdir(path)


def remove(path):
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
    else:
        import shutil

        shutil.rmtree(path, ignore_errors=True)


# --- skills ---


def skill(archive, root, name, link=""):
    """Unpack a skill into a directory of its own, which replaces the one of an earlier version.

    Below `link` it can be found too, unless something else is there.
    """
    part = os.path.join(root, f".{name}.part")
    remove(part)
    try:
        os.makedirs(part, mode=0o755)
        count = unpack(archive, part)
        remove(os.path.join(root, name))
        os.rename(part, os.path.join(root, name))
    finally:
        remove(part)
        remove(archive)
    if link and not os.path.lexists(link):
        os.symlink(root, link)
    return count


def unpack(archive, into):
    import zipfile

    if not zipfile.is_zipfile(archive):
        raise Refused("the archive is not a zip")
    with zipfile.ZipFile(archive) as packed:
        members = packed.infolist()
        if len(members) > MOST_MEMBERS:
            raise Refused(f"the archive has more than {MOST_MEMBERS} members")
        if sum(member.file_size for member in members) > MOST_UNPACKED:
            raise Refused(f"the archive has more than {MOST_UNPACKED} bytes when unpacked")
        names = {member: safe_parts(member.filename) for member in members}
        plain = {member: parts for member, parts in names.items() if parts and not is_special(member)}
        # The bundle is wrapped in one directory, whose name is the skill's.
        tops = {parts[0] for parts in plain.values()}
        depth = 1 if len(tops) == 1 and any(len(parts) > 1 for parts in plain.values()) else 0
        left = MOST_UNPACKED
        for member, parts in plain.items():
            target = os.path.join(into, *parts[depth:])
            if member.is_dir():
                os.makedirs(target, exist_ok=True)
            elif parts[depth:]:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                with packed.open(member) as source, open(target, "xb") as file:
                    while piece := source.read(min(1 << 20, left + 1)):
                        left -= len(piece)
                        if left < 0:
                            raise Refused(f"the archive has more than {MOST_UNPACKED} bytes when unpacked")
                        file.write(piece)
                os.chmod(target, 0o755 if mode_of(member) & 0o111 else 0o644)
    return len(plain)


def safe_parts(name):
    """Split a member's name; refuse one that could lead out of the directory."""
    if name.startswith(("/", "\\")) or "\0" in name:
        raise Refused(f"the archive has a member with an absolute path: {name[:200]!r}")
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Refused(f"the archive has a member that leads out of it: {name[:200]!r}")
    return parts


def mode_of(member):
    return member.external_attr >> 16 if member.create_system in UNIX_HOSTS else 0


def is_special(member):
    return stat.S_IFMT(mode_of(member)) in SPECIAL


# --- files and repositories ---


def file(part, path):
    """Move an uploaded file to its place, unless something got there first."""
    os.chmod(part, 0o444)
    if os.path.lexists(path):
        os.unlink(part)
        return False
    os.rename(part, path)
    return True


def repository(bundle, path, url, commit):
    """Make a working tree of a bundle, with a remote that holds no credential."""
    part = path.rstrip("/") + PART
    remove(part)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        call("git", "clone", "--quiet", "--no-local", bundle, part)
        call("git", "-C", part, "remote", "set-url", "origin", url)
        if commit:
            call("git", "-C", part, "checkout", "--quiet", "--detach", commit)
        os.rename(part, path)
    finally:
        remove(part)
        remove(bundle)
    return True


# --- memory stores ---


def store_make(root, marker, aside):
    """Make a store's directory. What an earlier run left there is moved aside, and told."""
    unmount(root)
    kept = None
    if os.path.isdir(root) and not os.path.islink(root) and os.listdir(root) == [MARKER]:
        os.unlink(os.path.join(root, MARKER))
    if os.path.lexists(root) and not is_empty_directory(root):
        os.makedirs(aside, exist_ok=True)
        number = 1
        while os.path.lexists(kept := os.path.join(aside, f"{os.path.basename(root)}-{number}")):
            number += 1
        import shutil

        shutil.move(root, kept)
    os.makedirs(root, mode=0o755, exist_ok=True)
    write(os.path.join(root, MARKER), marker.encode())
    return kept


def store_put(root, sources):
    """Write memories of uploaded JSON objects, by relative path. Return those that can't be."""
    failed = []
    if not os.path.isfile(os.path.join(root, MARKER)):
        raise Refused(f"{root} is gone")
    is_locked = unlock(root)
    try:
        for source in sources:
            with open(source, "rb") as uploaded:
                memories = json.load(uploaded)
            os.unlink(source)
            for path, content in memories.items():
                target = os.path.join(root, path)
                try:
                    os.makedirs(os.path.dirname(target), exist_ok=True)
                    write(target, content.encode())
                except OSError:
                    failed.append(path)
    finally:
        if is_locked:
            remount(root, "ro")
    return failed


def store_lock(root):
    """Make the directory a read-only filesystem, also for the shell."""
    call("mount", "--bind", root, root)
    remount(root, "ro")
    return True


def store_scan(root):
    """Hash every regular file below the directory. Links are left out."""
    import hashlib

    found, left_out, marker = {}, 0, None
    for folder, _, names in os.walk(root):
        for name in names:
            full = os.path.join(folder, name)
            path = os.path.relpath(full, root)
            if path.endswith(PART):
                continue  # What an interrupted write left.
            content = regular(full)
            if content is None:
                left_out += 1
            elif path == MARKER:
                marker = content.decode(errors="replace")
            elif len(found) == MOST_FILES:
                raise Refused(f"{root} has more than {MOST_FILES} files")
            else:
                try:
                    path.encode()
                except UnicodeEncodeError:
                    left_out += 1
                    continue
                found[path] = hashlib.sha256(content).hexdigest()
    return {"files": found, "marker": marker, "left_out": left_out}


def store_remove(root, hashes):
    """Remove files that still have the content of these hashes. Return their paths."""
    import hashlib

    removed = []
    is_locked = unlock(root)
    try:
        for path, sha in hashes.items():
            target = os.path.join(root, path)
            content = regular(target)
            if content is not None and hashlib.sha256(content).hexdigest() == sha:
                os.unlink(target)
                removed.append(path)
    finally:
        if is_locked:
            remount(root, "ro")
    return removed


def store_end(root):
    """Remove the directory, if it is still the store's."""
    unmount(root)
    if os.path.isfile(os.path.join(root, MARKER)):
        remove(root)
    return True


def regular(path):
    """Read a regular file, at most a little more than a memory may have."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(number, "rb") as file:
        return file.read(LARGEST_MEMORY + 1) if stat.S_ISREG(os.fstat(number).st_mode) else None


def write(path, content):
    part = path + PART
    with open(part, "wb") as file:
        file.write(content)
    os.replace(part, path)


def is_mounted(root):
    import re

    with open("/proc/self/mountinfo") as mounts:
        points = (line.split(" ")[4] for line in mounts)
        # The kernel writes a blank in a path as \040.
        return any(re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), point) == root for point in points)


def unmount(root):
    while is_mounted(root):
        call("umount", root)


def unlock(root):
    """Make a locked directory writable; return whether it was locked."""
    is_locked = is_mounted(root)
    if is_locked:
        remount(root, "rw")
    return is_locked


def remount(root, how):
    call("mount", "-o", f"remount,bind,{how}", root)


def call(*words):
    import subprocess

    done = subprocess.run(words, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise Refused(f"{words[0]}: {done.stderr.strip()[-500:]}")


def done(request):
    deeds = (absent, skill, file, repository, store_make, store_put, store_lock, store_scan, store_remove, store_end)
    deed = {each.__name__: each for each in deeds}[request.pop("do")]
    try:
        return {"result": deed(**request)}
    except Refused as refused:
        return {"error": str(refused)}
    except Exception as wrong:  # Of whatever the archive, git or the file system made of it: the worker is told.
        return {"error": f"{type(wrong).__name__}: {str(wrong)[:500]}"}


print(json.dumps([done(request) for request in json.loads(os.environ["PF_REQUEST"])]))
