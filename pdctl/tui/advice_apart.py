"""An advice worked out in a child process, so that no key press waits for it: half a second of Python, whose thread
would hold the interpreter's lock against the screen.

The child reads a pickled Query and answers with the pickled Advice or with why there is none; both ends are this
program. It ends by itself, and with its owner: a question that nobody waits for any more is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import sys
from typing import Final

from pdctl.errors import PdctlError, TooThin
from pdctl.tui.advising import Advice, Query, advice

CHILD: Final = "import os; os.nice(10); from pdctl.tui.advice_apart import main; main()"
"""The terminal, and whatever serves on the same machine, come first: before its imports, too."""


class ApartAdviser:
    """A process for every question."""

    async def advise(self, query: Query) -> Advice:
        """Raises TooThin where too little is known; PdctlError, with its last words, for a child that broke."""
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            CHILD,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # the terminal's Ctrl-C is for the owner
        )
        try:
            said, words = await child.communicate(pickle.dumps(query))
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
        if not said:
            last = words.decode(errors="replace").strip().rpartition("\n")[2]
            raise PdctlError(f"the advice broke off: {last}", hint="please report this")
        found = pickle.loads(said)  # noqa: S301 - our own child's
        if isinstance(found, Advice):
            return found
        raise TooThin(found[0], hint=found[1])


def main() -> None:
    """Answer the one question on stdin."""
    from pdctl.bench.profile_store import stored_profiles  # only here: the screen needs none of them
    from pdctl.perf.builtin_profiles import BUILTIN

    query = pickle.load(sys.stdin.buffer)  # noqa: S301 - our owner's
    try:
        found: Advice | tuple[str, str] = advice(query, (*stored_profiles(), *BUILTIN.values()))
    except PdctlError as error:
        found = error.message, error.hint
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.buffer.write(pickle.dumps(found))
        sys.stdout.buffer.flush()
