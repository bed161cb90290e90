"""Node side: a unit's log, one file that the engine itself appends to.

The engine holds the file directly (O_APPEND), not a pipe into the keeper: with a pipe the death of the keeper would be
SIGPIPE, or a full pipe, for an engine that serves. So the log cannot be switched under the engine; it is bounded by
giving the front of the file back to the file system (fallocate PUNCH_HOLE: ext4, xfs, btrfs, tmpfs, NFS 4.2). Offsets
stay, no line is lost, and who follows the log notices nothing. Where holes cannot be punched the tail is copied to
`log.1` and the file truncated; lines written in between are lost, which is said in the log.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LOG_CAP_BYTES = 64 << 20  # on disk, per launch
PUNCH_HOLE_KEEP_SIZE = 0x02 | 0x01  # linux/falloc.h
BLOCK_BYTES = 4096
READ_BYTES = 65536


def punch_front(fd: int, until: int) -> bool:
    """Free the file's blocks before offset `until`; False where the file system cannot."""
    import ctypes  # not at the top: most actions need none of it, and it costs what starting Python costs

    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "fallocate"):
        return False
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong]
    return int(libc.fallocate(fd, PUNCH_HOLE_KEEP_SIZE, 0, until)) == 0


def truncate_log(path: str, cap_bytes: int) -> None:
    """The fallback: keep the tail in `log.1`, start the file anew."""
    tail = read_range(path, max(0, os.path.getsize(path) - cap_bytes // 2), cap_bytes // 2)
    with open(path + ".1", "wb") as file:
        file.write(tail)
    with open(path, "ab") as file:
        file.truncate(0)
        file.write(b"[pdctl] log cut here: this file system cannot punch holes; the lines before are in log.1\n")


def trim_log(path: str, cap_bytes: int, punch: "Callable[[int, int], bool]" = punch_front) -> bool:
    """Bring the log under `cap_bytes` on disk by giving up its older half; whether anything was given up."""
    fd = os.open(path, os.O_RDWR)
    try:
        found = os.fstat(fd)
        if found.st_blocks * 512 <= cap_bytes or found.st_size <= cap_bytes:
            return False
        punched = punch(fd, (found.st_size - cap_bytes // 2) // BLOCK_BYTES * BLOCK_BYTES)
    finally:
        os.close(fd)
    if not punched:
        truncate_log(path, cap_bytes)
    return True


def read_range(path: str, start: int, count: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(start)
        return file.read(count)


def data_start(path: str) -> int:
    """Where the log's data begin, past a punched front."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.lseek(fd, 0, os.SEEK_DATA)
    except OSError:  # an empty file, or a file system that cannot tell
        return 0
    finally:
        os.close(fd)


def tail_offset(path: str, lines: int) -> int:
    """The offset at which the last `lines` whole lines begin."""
    size = os.path.getsize(path)
    first = data_start(path)
    if lines <= 0:
        return size
    window = READ_BYTES
    while True:
        start = max(first, size - window)
        data = read_range(path, start, size - start)
        at = len(data) - 1 if data.endswith(b"\n") else len(data)
        for _ in range(lines):
            at = data.rfind(b"\n", 0, max(0, at))
            if at < 0:
                break
        if at >= 0:
            return start + at + 1
        if start == first:
            # Past a punched front the first piece is the end of a line whose beginning is gone.
            return start + data.find(b"\n") + 1 if first else start
        window *= 4


def tail_lines(path: str, lines: int) -> "list[str]":
    """The last lines of the log, decoded; none where it cannot be read."""
    try:
        start = tail_offset(path, lines)
        data = read_range(path, start, 1 << 20)
    except OSError:
        return []
    return data.decode("utf-8", "replace").splitlines()[-lines:]
