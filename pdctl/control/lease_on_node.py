"""The lease, on the lease node: stdlib only, Python >= 3.6, alive exactly as long as its SSH channel.

Speaks JSON lines. First line in: {"root", "cluster", "holder": {...}, "timeout_s"}. First line out: {"ok": true,
"epoch": N, "applied": {...}|null, "holds": {...}|null} or {"ok": false, "holder": {...}}. Then, in, lines of {"n": N}
with perhaps "journal", "applied" or "holds": {...}; out, one {"ack": N} for each, with "failed": why where it could not
be written; the last two are on the disk by then.
The end of stdin (the controller died): the lock is free. No line for `timeout_s` (a partition, a controller that is
frozen): the lock is free for others, and taken again with the next line if nobody had it since; else that line is
answered by {"holder": {...}}, and all is over.
The lock is a flock, so the kernel drops it with this process; nothing is ever left over that somebody must break.
"""

import errno
import fcntl
import json
import os
import select
import time
from typing import Any, Dict, Optional

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pdctl.ssh.prelude_on_node import cluster_dir

SILENT_S = 60.0  # a controller that was not heard for this long on top of the timeout is not waited for any more
JOURNAL_BYTES = 4 << 20  # of one file; then it becomes journal.1.ndjson, and that one journal.2.ndjson, ...
JOURNAL_FILES = 5  # besides the one that is written: the journal never takes more than 24 MiB
RECORDS = ("applied", "holds")  # what the controller keeps here; each in a file of its own, replaced as a whole


def say(obj: Dict[str, Any]) -> None:
    os.write(1, (json.dumps(obj) + "\n").encode())


def read_json(path: str, default: Any) -> Any:
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError):
        return default


def read_record(root: str, name: str) -> Any:
    """What `<name>.json` holds; None only where there is no such file: one that cannot be read is not none."""
    path = os.path.join(root, name + ".json")
    return (read_json(path, {}) or {}) if os.path.lexists(path) else None


def write_json(path: str, obj: Any) -> None:
    temp = "%s.%d" % (path, os.getpid())
    with open(temp, "w") as file:
        json.dump(obj, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temp, path)
    directory = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class Lines:
    """Lines from a descriptor, with a deadline for each. `ended`: there will be no more."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.rest = b""
        self.ended = False

    def next(self, timeout_s: float) -> Optional[Dict[str, Any]]:
        end = time.monotonic() + timeout_s
        while b"\n" not in self.rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                return None
            piece = os.read(self.fd, 65536)
            if not piece:
                self.ended = True
                return None
            self.rest += piece
        line, self.rest = self.rest.split(b"\n", 1)
        message: Dict[str, Any] = json.loads(line.decode())
        return message


def highest_epoch(root: str) -> int:
    """The highest epoch that this node has seen, by the lease or by a mutating command."""
    highest = int(read_json(os.path.join(root, "lease.json"), {}).get("epoch", 0))
    try:
        with open(os.path.join(root, "epoch")) as file:
            highest = max(highest, int(file.read().strip() or 0))
    except (OSError, ValueError):
        pass
    return highest


class Lock:
    """The cluster's lock, and the epoch of whoever had it last."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.fd = os.open(os.path.join(root, "lease.lock"), os.O_RDWR | os.O_CREAT, 0o600)

    def take(self) -> bool:
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def take_again(self, epoch: int) -> bool:
        """Whether it is ours as if we had never let go of it: nobody else can have had it without a higher epoch."""
        return self.take() and highest_epoch(self.root) == epoch

    def let_go(self) -> None:
        fcntl.flock(self.fd, fcntl.LOCK_UN)

    def holder(self) -> Dict[str, Any]:
        found: Dict[str, Any] = read_json(os.path.join(self.root, "lease.json"), {}).get("holder", {})
        return found


class Journal:
    """The cluster's journal: only the holder of the lease writes it. Each entry is a line, whole or not there."""

    def __init__(self, root: str) -> None:
        self.root = root

    def path(self, number: int) -> str:
        return os.path.join(self.root, "journal.%d.ndjson" % number if number else "journal.ndjson")

    def append(self, entry: Any) -> None:
        """Raises OSError: the disk is full, for one. What was written of the line by then is taken back."""
        line = (json.dumps(entry) + "\n").encode()
        fd = os.open(self.path(0), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            before = os.fstat(fd).st_size
            try:
                done = os.write(fd, line)
                if done < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                try:
                    os.ftruncate(fd, before)
                except OSError:
                    pass
                raise
        finally:
            os.close(fd)
        if before + len(line) >= JOURNAL_BYTES:
            self.rotate()

    def rotate(self) -> None:
        for number in range(JOURNAL_FILES - 1, -1, -1):
            if os.path.exists(self.path(number)):
                os.rename(self.path(number), self.path(number + 1))


def write(journal: Journal, message: Dict[str, Any]) -> str:
    """Do what a line asks for. Why it could not be done, or ""."""
    try:
        if "journal" in message:
            journal.append(message["journal"])
        for name in RECORDS:
            if name in message:
                write_json(os.path.join(journal.root, name + ".json"), message[name])
    except OSError as error:
        return error.strerror or str(error)
    return ""


def serve(lines: Lines, lock: Lock, epoch: int, timeout_s: float) -> None:
    journal = Journal(lock.root)
    while True:
        message = lines.next(timeout_s)
        if message is None and not lines.ended:
            lock.let_go()
            message = lines.next(SILENT_S)
            if message is not None and not lock.take_again(epoch):
                say({"holder": lock.holder()})
                return
        if message is None:
            return
        ack = {"ack": message.get("n", 0)}
        failed = write(journal, message)
        say(dict(ack, failed=failed) if failed else ack)


def main() -> None:
    os.umask(0o077)
    lines = Lines(0)
    hello = lines.next(30)
    if hello is None:
        return
    root = cluster_dir(hello)
    os.makedirs(root, exist_ok=True)
    lock = Lock(root)
    if not lock.take():
        say({"ok": False, "holder": lock.holder()})
        return
    epoch = highest_epoch(root) + 1
    write_json(os.path.join(root, "lease.json"), {"epoch": epoch, "holder": hello["holder"], "since": time.time()})
    say(dict({"ok": True, "epoch": epoch}, **{name: read_record(root, name) for name in RECORDS}))
    serve(lines, lock, epoch, float(hello["timeout_s"]))


if __name__ == "__main__":
    main()
