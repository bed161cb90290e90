"""Runs small Python programs on nodes: shipped over stdin, one JSON document in, one out.

A program is the source of a stdlib-only file for Python 3.6 that defines `main(payload) -> dict`. It finds the names
of `prelude_on_node` defined; for linters it imports them under TYPE_CHECKING. The payload may hold secrets: it goes
through stdin with the program, never through argv.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from pdctl.errors import CommandFailed, EpochRefused, NodeError
from pdctl.ssh.ports import Completed, Shell
from pdctl.ssh.text import last_line, printable

_ARGV = ("python3", "-IS", "-")  # isolated: neither the user's site-packages nor the environment reach it
_NOT_FOUND = 127


@dataclass(frozen=True, slots=True)
class NodeProgram:
    """A program that runs on nodes. `name` is for messages."""

    name: str
    source: str

    @classmethod
    def packaged(cls, package: str, file: str) -> NodeProgram:
        """The program in `file` of one of pdctl's packages."""
        return cls(file.removesuffix(".py"), resources.files(package).joinpath(file).read_text())


async def run_program(
    shell: Shell,
    program: NodeProgram,
    payload: Mapping[str, Any],
    *,
    deadline_s: float,
    max_bytes: int = 8 << 20,
    errors: Mapping[str, type[NodeError]] | None = None,
) -> dict[str, Any]:
    """Run `program` on the shell's node and return what it replied.

    A refusal of the program's own raises the class that `errors` names for its kind, EpochRefused for "epoch",
    CommandFailed else. Raises CommandFailed too where there is no python3 or no reply, and what `Shell.run` raises.
    """
    nonce = f"pdctl-{secrets.token_hex(8)}"
    done = await shell.run(
        _ARGV, deadline_s=deadline_s, stdin=_script(program, payload, nonce).encode(), max_bytes=max_bytes
    )
    answer = _answer(done, nonce)
    if answer is None:
        raise _no_answer(shell.node, program, done)
    refusal = answer.get("error")
    if isinstance(refusal, dict):
        raise _refusal(shell.node, refusal, errors or {})
    return answer


@cache
def prelude() -> str:
    """The source of `prelude_on_node`, for a program that is started in another way."""
    return resources.files("pdctl.ssh").joinpath("prelude_on_node.py").read_text()


def _script(program: NodeProgram, payload: Mapping[str, Any], nonce: str) -> str:
    """Prelude, program and call as one source text. Base64 keeps the payload out of any traceback's source lines."""
    encoded = base64.b64encode(json.dumps(dict(payload)).encode()).decode()
    return (
        f"{prelude()}\nNONCE = {nonce!r}\n"
        f"{program.source}\n"
        f"import binascii as _binascii\n"
        f"payload = json.loads(_binascii.a2b_base64({encoded!r}).decode())\n"
        f"call_main(main, payload)\n"
    )


def _answer(done: Completed, nonce: str) -> dict[str, Any] | None:
    """The JSON object between the last two sentinels; None where there is none that is whole."""
    parts = done.stdout.split(nonce.encode())
    if len(parts) < 3:
        return None
    try:
        answer = json.loads(parts[-2])
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _refusal(node: str, refusal: Mapping[str, Any], errors: Mapping[str, type[NodeError]]) -> NodeError:
    kind = str(refusal.get("kind", ""))
    message = printable(str(refusal.get("message", "")), max_chars=500) or "the node refused without a reason"
    hint = printable(str(refusal.get("hint", "")), max_chars=500)
    default = EpochRefused if kind == "epoch" else CommandFailed
    return errors.get(kind, default)(node, message, hint=hint)


def _no_answer(node: str, program: NodeProgram, done: Completed) -> CommandFailed:
    said = last_line(done.stderr)
    if done.status == _NOT_FOUND:
        return CommandFailed(
            node,
            "python3 is not installed",
            status=done.status,
            stderr=said,
            hint="install Python 3.6 or newer on the node, as python3 on the login's PATH",
        )
    cause = "its answer is longer than we take" if done.truncated else said or "it gave no answer"
    return CommandFailed(
        node,
        f"{program.name} failed with status {done.status}: {cause}",
        status=done.status,
        stderr=said,
        hint="this is a defect of pdctl, or of the node's Python: run again with -v and report it",
    )
