"""One collection on one node, over its shell: the order goes out with the program, the envelope comes back."""

from __future__ import annotations

import binascii
import json
import zlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from pdctl.errors import CommandFailed
from pdctl.health.bundle import collector
from pdctl.health.collection import Collection
from pdctl.health.envelope import Envelope
from pdctl.ssh.ports import Shell
from pdctl.ssh.program import run_program

MAX_REPLY_BYTES = 16 << 20
MAX_ENVELOPE_BYTES = 128 << 20
MARGIN_S = 25.0
"""What connecting, logging in and the transfer may take besides the collection's own deadline."""


async def collect(shell: Shell, order: Collection, *, now: Callable[[], float]) -> Envelope:
    """The envelope of the shell's node. `now` is the controller's wall clock, beside which the node's is put.

    Raises what `run_program` raises, and CommandFailed for an answer that is no envelope.
    """
    asked_s = now()
    answer = await run_program(
        shell, collector(), _payload(order), deadline_s=order.deadline_s + MARGIN_S, max_bytes=MAX_REPLY_BYTES
    )
    answered_s = now()
    try:
        facts = {**_unpacked(answer), "node": shell.node, "asked_s": asked_s, "answered_s": answered_s}
        return Envelope.model_validate(facts)
    except (ValueError, ValidationError, zlib.error) as error:
        raise CommandFailed(
            shell.node, f"the collector's answer cannot be read: {str(error).splitlines()[0]}", hint="run it again"
        ) from None


@lru_cache(maxsize=4)
def _payload(order: Collection) -> Mapping[str, Any]:
    """Many nodes get one order: a hundred commands, which are turned into plain JSON once."""
    return order.payload()


def _unpacked(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The envelope's fields. Raises ValueError, zlib.error."""
    packed = answer.get("zlib")
    if packed is None:
        return dict(answer)
    unzip = zlib.decompressobj()
    text = unzip.decompress(binascii.a2b_base64(str(packed)), MAX_ENVELOPE_BYTES)
    if unzip.unconsumed_tail:
        raise ValueError("it is larger than any node's should be")
    facts = json.loads(text)
    if not isinstance(facts, dict):
        raise ValueError("it is no object")
    return facts
