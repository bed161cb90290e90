"""Node side: reads small files in a process of its own, since a thread that a driver hangs would hang its whole
process's end. The parent sees in shared memory which file is being read, and gives up on the one that takes too long.

Results go through a pipe, one JSON array a line: [kind, path, text, error, truncated]. Stdlib only, Python 3.6.
"""

import errno
import glob
import json
import mmap
import os
import re
import stat
import struct
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Facts = dict[str, Any]

MOST_MATCHES = 8192  # of one glob: a table of routes or devices gone wild is cut, and that is said
FLUSH_BYTES = 32 << 10
FLUSH_S = 0.05
_GID = re.compile(r"(.*/ports/[^/]+)/gids/(\d+)$")
_MARK = struct.Struct("<IHd")  # how many marks so far, length of the path, when (monotonic)
_MAGIC = re.compile(r"[*?[]")


class Mark:
    """Memory shared with the parent: which path is being read, and since when. An empty path: none."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8192)
        self._count = 0

    def set(self, path: str) -> None:
        encoded = path.encode("utf-8", "surrogateescape")[:8000]
        self._count += 1
        self._memory[: _MARK.size] = _MARK.pack(self._count, 0, time.monotonic())
        self._memory[_MARK.size : _MARK.size + len(encoded)] = encoded
        self._memory[: _MARK.size] = _MARK.pack(self._count, len(encoded), time.monotonic())

    def get(self) -> "tuple[str, float]":
        """The path, and for how long it has been read."""
        _, length, since = _MARK.unpack(self._memory[: _MARK.size])
        path = bytes(self._memory[_MARK.size : _MARK.size + length]).decode("utf-8", "surrogateescape")
        return path, time.monotonic() - since if path else 0.0


class Tree:
    """The machine's files, or a copy of some of them under `root`. Paths are said as the machine's own."""

    def __init__(self, root: str) -> None:
        self.root = os.path.realpath(root).rstrip("/")

    def real(self, path: str) -> str:
        return self.root + path

    def said(self, path: str) -> str:
        return path[len(self.root) :] if path.startswith(self.root + "/") else path

    def matches(self, pattern: str) -> "list[str]":
        """Paths that match; a path without magic is given back whether it exists or not."""
        if not _MAGIC.search(pattern):
            return [pattern]
        return sorted(self.said(path) for path in glob.glob(glob.escape(self.root) + pattern))

    def read(self, path: str, limit: int) -> "tuple[str, str, bool]":
        """(text, errno's name or "", whether there was more). Never waits for a pipe's or a device's other end."""
        try:
            fd = os.open(self.real(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    return "", "EISDIR", False
                data = b""
                while len(data) <= limit:
                    piece = os.read(fd, limit + 1 - len(data))
                    if not piece:
                        break
                    data += piece
            finally:
                os.close(fd)
        except OSError as error:
            return "", error_name(error), False
        return data[:limit].decode("utf-8", "replace"), "", len(data) > limit

    def opened(self, path: str) -> "tuple[str, str, bool]":
        """("<mode> <uid> <gid>", errno's name if it cannot be opened for reading and writing, False)."""
        try:
            about = os.stat(self.real(path))
            text = "%04o %d %d" % (stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid)
        except OSError as error:
            return "", error_name(error), False
        try:
            os.close(os.open(self.real(path), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as error:
            return text, error_name(error), False
        return text, "", False


def error_name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, "EIO")


class Lines:
    """Writes results to a pipe in larger pieces, but never keeps one for longer than `FLUSH_S` before the next."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._waiting = []  # type: list[bytes]
        self._size = 0
        self._flushed = time.monotonic()

    def add(self, *values: "Any") -> None:
        line = json.dumps(values).encode() + b"\n"
        self._waiting.append(line)
        self._size += len(line)
        if self._size > FLUSH_BYTES or time.monotonic() - self._flushed > FLUSH_S:
            self.flush()

    def flush(self) -> None:
        data = memoryview(b"".join(self._waiting))
        while data:
            data = data[os.write(self._fd, data) :]
        self._waiting, self._size, self._flushed = [], 0, time.monotonic()


def plain_files(order: "Facts", tree: Tree, skip: "set[str]", mark: Mark, lines: Lines) -> None:
    """Files, device files and links of the order, each path once, but for those in `skip`."""
    limit = order["max_file_bytes"]
    for path in expanded(tree, wanted(order, tree, mark), skip, mark, lines):
        mark.set(path)
        gid = _GID.match(path)
        text, error, more = tree.read(path, limit)
        if error == "EISDIR" or (gid and not text.strip("0:\n ")):
            continue
        lines.add("file", path, text, error, more)
        for part in ("types", "ndevs") if gid else ():
            beside = "%s/gid_attrs/%s/%s" % (gid.group(1), part, gid.group(2)) if gid else ""
            mark.set(beside)
            lines.add("file", beside, *tree.read(beside, limit))
    for path in expanded(tree, iter(order["opened"]), skip, mark, lines):
        mark.set(path)
        lines.add("file", path, *tree.opened(path))
    for path in expanded(tree, iter(order["links"]), skip, mark, lines):
        mark.set(path)
        if os.path.lexists(tree.real(path)):
            lines.add("link", path, tree.said(os.path.realpath(tree.real(path))))


def wanted(order: "Facts", tree: Tree, mark: Mark) -> "Iterator[str]":
    """The globs of files, and those that have to be made from the names that another glob finds."""
    for pattern in order["files"]:
        yield pattern
    for names, pattern in order["each_files"]:
        mark.set(names)
        for match in tree.matches(names):
            if not _MAGIC.search(match):
                yield pattern.replace("{name}", os.path.basename(match))


def expanded(tree: Tree, patterns: "Iterator[str]", skip: "set[str]", mark: Mark, lines: Lines) -> "Iterator[str]":
    for pattern in patterns:
        if pattern in skip:
            continue
        mark.set(pattern)
        found = tree.matches(pattern)
        if len(found) > MOST_MATCHES:
            lines.add("missing", "%d of %s" % (len(found) - MOST_MATCHES, pattern))
        for path in found[:MOST_MATCHES]:
            if path in skip:
                continue
            skip.add(path)
            if path.isprintable():
                yield path
            else:  # no name that a kernel gives; it would not be text on the way
                lines.add("missing", "a file with an odd name: %s" % ascii(path))


def sampled_files(order: "Facts", tree: Tree, skip: "set[str]", mark: Mark, lines: Lines) -> None:
    """The files of `sampled`, `samples` times, `interval_s` apart."""
    paths = list(expanded(tree, iter(order["sampled"]), set(skip), mark, lines))
    for turn in range(order["samples"]):
        if turn:
            mark.set("")
            lines.flush()
            time.sleep(order["interval_s"])
        for path in paths:
            if path in skip:
                continue
            mark.set(path)
            text, error, _ = tree.read(path, order["max_file_bytes"])
            if not error:
                lines.add("sample", path, text)


class Reader:
    """One process that runs `read(order, tree, skip, mark, lines)`; started again without a file that hung it."""

    def __init__(self, read: "Callable[[Facts, Tree, set[str], Mark, Lines], None]", order: "Facts") -> None:
        self.read = read
        self.order = order
        self.tree = Tree(order["root"])
        self.skip = set()  # type: set[str]
        self.rest = b""
        self.pid = 0
        self.fd = -1

    def start(self) -> None:
        self.mark = Mark()
        self.rest = b""
        theirs, ours = -1, -1
        ours, theirs = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._child(theirs)
            finally:
                os._exit(0)
        os.close(theirs)
        os.set_blocking(ours, False)
        self.fd = ours

    def _child(self, fd: int) -> None:
        """Lets go of what the controller waits for: a reader that cannot die must not keep the channel open."""
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        lines = Lines(fd)
        try:
            self.read(self.order, self.tree, self.skip, self.mark, lines)
        except Exception as error:
            lines.add("missing", "the reader failed: %s: %s" % (type(error).__name__, error))
        lines.flush()

    def take(self) -> "tuple[list[list[Any]], bool]":
        """Results that have arrived, and whether that was all."""
        ended = False
        while True:
            try:
                data = os.read(self.fd, 1 << 16)
            except BlockingIOError:
                break
            if not data:
                ended = True
                break
            self.rest += data
        whole, _, self.rest = self.rest.rpartition(b"\n")
        results = [json.loads(line.decode()) for line in whole.split(b"\n") if line]
        self.skip.update(result[1] for result in results if result[0] == "file")
        return results, ended

    def stuck(self) -> str:
        """The path that has been read for too long; "" if none."""
        path, seconds = self.mark.get()
        return path if seconds > self.order["file_deadline_s"] else ""
