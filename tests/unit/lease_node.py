"""The lease node as readers see it: a shell that answers with the record that lies there."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from pdctl.control.hold_record import record_of
from pdctl.model.hold import Hold
from pdctl.ssh.fake import Command, FakeShell
from pdctl.ssh.ports import Completed


def lease_shell(node: str, holds: Sequence[Hold] | None = ()) -> FakeShell:
    """Nothing was ever applied there; `holds` None: their record is damaged."""
    told = json.dumps(record_of(holds)) if holds is not None else "{"

    def reply(command: Command) -> Completed:
        nonce = re.search(rb"NONCE = '(pdctl-\w+)'", command.stdin)
        assert nonce is not None
        body = json.dumps({"lines": [], "applied": None, "holds": told, "lease": None}).encode()
        return Completed(0, nonce[1] + body + nonce[1], b"")

    shell = FakeShell(node)
    shell.answer(["python3"], reply=reply)
    return shell
