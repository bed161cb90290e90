"""Run another project's benchmark tool on a node or on this machine, and bring back what it wrote.

The tool gets a directory of its own there (0700, from mktemp) with our input files, writes its results below `out/` in
it, and the directory goes with the command. It runs under the shell's watcher, so it is stopped on the far side when
we stop, are killed, or lose the connection: SSH itself stops nothing.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import io
import re
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pdctl.bench.drivers.progress_line import finished_requests, last_words
from pdctl.bench.point import Point
from pdctl.bench.row import Row
from pdctl.errors import BenchError, NodeError
from pdctl.ssh.ports import Shell, Stream
from pdctl.ssh.quoting import quote
from pdctl.ssh.text import last_line, printable

OUT = "out"
"""Below its directory the tool writes here; only this is brought back."""

_POLL_S = 0.25
_SETTING_UP_S = 60.0
_NOT_EXECUTABLE, _NOT_FOUND = 126, 127
_ENVIRONMENT = ".environment"
_DIRECTORY = re.compile(r"/.*/pdctl-bench\.\w+")

_PREPARE = 'umask 077; d=$(mktemp -d "${TMPDIR:-/tmp}/pdctl-bench.XXXXXX") && tar -xf - -C "$d" && echo "$d"'

# stdout carries the results and nothing else; whatever the tool prints goes to stderr, whose tail we see. The tool runs
# in the background because a shell handles a signal only when its foreground command has ended. SIGPIPE is ignored, or
# the shell would die of the "Terminated" that it prints for nobody, before it has cleaned up.
_RUN = (
    "d=$1; shift; cd \"$d\" || exit 1; trap '' PIPE; trap 'rm -rf \"$d\"' EXIT; "
    "trap 'kill $p; wait $p; exit 143' TERM INT HUP; "
    f"set -a; . ./{_ENVIRONMENT}; set +a; rm {_ENVIRONMENT}; mkdir -p {OUT}; "
    '"$@" >&2 </dev/null & p=$!; wait $p; s=$?; '
    f"tar -czf - {OUT} | base64 -w 0; exit $s"
)


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a tool. It runs in its directory, so `argv` names `files` and `out` as they are.

    `environment` is set in a file that only the login reads, so it may carry secrets, which a command line would show
    to everybody on the machine. `quiet_s`: so long it may print nothing before it is taken for hung. `enough`: the
    result whose being there counts, whatever status the tool ends with (AIPerf fails where all requests did).
    """

    tool: str
    argv: Sequence[str]
    install: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    quiet_s: float = 1800.0
    enough: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """`files`: what the tool left below `out/`, by path. `stopped`: we killed it; then there are none."""

    files: Mapping[str, bytes]
    stopped: bool = False


async def run_tool(
    shell: Shell,
    job: Job,
    *,
    stop: Callable[[], bool],
    on_progress: Callable[[int, int], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Ended:
    """Run `job` to its end, or until `stop` says True: then it is killed, for it cannot be asked to end whole.

    `on_progress` is told (requests done, requests in all) where the tool's output shows them. Raises BenchError where
    the tool is not there, fails, hangs, or leaves nothing that can be read; NodeError where the node cannot be reached.
    """
    directory = await _prepare(shell, job)
    try:
        async with shell.stream(["sh", "-c", _RUN, "sh", directory, *job.argv]) as stream:
            reading = asyncio.create_task(_results(stream))
            try:
                if not await _awaited(stream, reading, job, shell.node, stop, on_progress, clock):
                    return Ended({}, stopped=True)
                packed = await reading
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
            status = await stream.wait()
            files = _unpacked(job, packed) if packed or not status else {}
            if status and not files.get(job.enough):
                raise _failure(job, shell.node, status, stream.stderr)
            return Ended(files)
    finally:
        # Only where the command never started, or had to be killed hard, is there anything left to remove.
        with contextlib.suppress(NodeError):
            await shell.run(["rm", "-rf", directory], deadline_s=_SETTING_UP_S)


async def _prepare(shell: Shell, job: Job) -> str:
    lines = "".join(f"{name}={quote([value])}\n" for name, value in job.environment.items())
    done = await shell.run(
        ["sh", "-c", _PREPARE],
        deadline_s=_SETTING_UP_S,
        stdin=_packed({**job.files, _ENVIRONMENT: lines.encode()}),
    )
    directory = last_line(done.stdout)
    if done.status or not _DIRECTORY.fullmatch(directory):
        raise BenchError(
            f"{shell.node}: no directory for {job.tool}: {last_line(done.stderr) or f'status {done.status}'}",
            hint="it needs mktemp and tar, and room in /tmp (or $TMPDIR)",
        )
    return directory


async def _results(stream: Stream) -> bytes:
    return b"".join([line async for line in stream.lines()])


async def _awaited(
    stream: Stream,
    reading: asyncio.Task[bytes],
    job: Job,
    node: str,
    stop: Callable[[], bool],
    on_progress: Callable[[int, int], None] | None,
    clock: Callable[[], float],
) -> bool:
    """Until all is read: True. False as soon as `stop` says so."""
    said, said_at_s = b"", clock()
    while not reading.done():
        await asyncio.wait({reading}, timeout=_POLL_S)
        if stream.stderr != said:
            said, said_at_s = stream.stderr, clock()
            if on_progress is not None and (seen := finished_requests(_text(said))) is not None:
                on_progress(*seen)
        if reading.done():
            break
        if stop():
            return False
        if clock() - said_at_s > job.quiet_s:
            raise BenchError(
                f"{job.tool} on {node} has said nothing for {job.quiet_s:g} s, so it was stopped; "
                f"last: {last_words(_text(said))}",
                hint="look at the server that it measures: `pdctl status`, `pdctl top`",
            )
    return True


def refuse_duration(point: Point, tool: str) -> None:
    """Raises BenchError for a point that ends after a time: a tool that is stopped keeps nothing of what it saw."""
    if point.duration_s is not None:
        raise BenchError(f"{tool} ends after a number of requests, not after a time", hint="give `--requests`")


def took_s(rows: Sequence[Row]) -> float:
    """From the start to the end of the last request."""
    return max((row.sent_s + row.e2el_s for row in rows), default=0.0)


def _failure(job: Job, node: str, status: int, stderr: bytes) -> BenchError:
    words = last_words(_text(stderr))
    if status in (_NOT_FOUND, _NOT_EXECUTABLE):
        return BenchError(f"{job.tool} is not installed on {node}: {words or 'command not found'}", hint=job.install)
    return ToolFailed(
        f"{job.tool} failed on {node} with status {status}: {words or 'it said nothing'}",
        hint=f"run it there by hand: {quote(job.argv)}",
        said=_text(stderr),
    )


class ToolFailed(BenchError):
    """The tool ran and ended with a failure; `said` is the tail of what it printed."""

    def __init__(self, message: str, *, hint: str = "", said: str = "") -> None:
        super().__init__(message, hint=hint)
        self.said = said


def _text(raw: bytes) -> str:
    """With the carriage returns of progress bars as ends of lines."""
    return printable(raw.replace(b"\r", b"\n"))


def _packed(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o600
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _unpacked(job: Job, packed: bytes) -> dict[str, bytes]:
    found = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(base64.b64decode(packed)), mode="r:gz") as archive:
            for entry in archive:
                data = archive.extractfile(entry) if entry.isfile() else None
                if data is not None:
                    found[str(PurePosixPath(entry.name).relative_to(OUT))] = data.read()
    except (tarfile.TarError, binascii.Error, EOFError, OSError, ValueError) as error:
        raise BenchError(f"the results of {job.tool} did not arrive whole: {error}", hint="run it again") from None
    return found
