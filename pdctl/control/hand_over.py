"""`bundle`: one archive for a bug report or a hand-over, with everything that explains a cluster and no secret.

A part that cannot be had is named in `about.json` with the reason, and does not stop the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import platform
import tarfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from pdctl import __version__
from pdctl.control.check import check
from pdctl.control.clock import utc
from pdctl.control.history import record
from pdctl.control.logs import logs, sources
from pdctl.control.opened import Opened
from pdctl.control.redact import Redactor
from pdctl.control.secrets import SecretMissing, resolve
from pdctl.control.status import as_json, status
from pdctl.errors import PdctlError
from pdctl.model.observed import Trouble
from pdctl.plan.steps import REGISTRAR, ROUTER
from pdctl.telemetry.codec import to_json
from pdctl.telemetry.recording import Recording

LOG_LINES: Final = 2000
JOURNAL_LINES: Final = 1000
PART_S: Final = 120.0


@dataclass(slots=True)
class HandOver:
    """The archive in the making: names to texts, and why a part is missing."""

    redactor: Redactor
    parts: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, text: str) -> None:
        """One more file, without secrets."""
        self.parts[name] = self.redactor.clean(text)

    def tell(self, **about: Any) -> None:
        """What the archive is, what is missing, and how much was taken out."""
        told = {**about, "missing": self.missing, "redacted": self.redactor.hidden}
        self.parts["about.json"] = json.dumps(told, indent=2) + "\n"

    def write(self, path: Path) -> None:
        """As .tar.gz, readable by its owner only; nothing is left where it fails. Raises OSError."""
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            aside.touch(mode=0o600, exist_ok=False)
            with tarfile.open(aside, "w:gz") as archive:
                for name, text in sorted(self.parts.items()):
                    body = text.encode("utf-8", "replace")
                    entry = tarfile.TarInfo(f"pdctl-bundle/{name}")
                    entry.size, entry.mode = len(body), 0o600
                    archive.addfile(entry, io.BytesIO(body))
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


async def hand_over(
    opened: Opened,
    *,
    recording: Path | None,
    minutes: float,
    now_s: float,
    progress: Callable[[str], None] = lambda part: None,
) -> HandOver:
    """Gather everything. Raises nothing for what cannot be had."""
    deployment = opened.deployment
    bundle = HandOver(Redactor(_secrets(opened)))
    bundle.add("inventory.yaml", opened.inventory_text)
    gather: Mapping[str, Callable[[], Awaitable[None]]] = {
        "status": lambda: _status(opened, bundle),
        "journal": lambda: _journal(opened, bundle),
        "logs": lambda: _logs(opened, bundle),
        "health": lambda: _health(opened, bundle),
    }
    for name, part in gather.items():
        progress(name)
        try:
            async with asyncio.timeout(PART_S):
                await part()
        except PdctlError as error:
            bundle.missing[name] = error.message
        except TimeoutError:
            bundle.missing[name] = f"not done in {PART_S:.0f} s"
    if recording is not None:
        progress("recording")
        await asyncio.to_thread(_recorded, bundle, recording, minutes)
    bundle.tell(cluster=deployment.cluster, made=utc(now_s), pdctl=__version__, python=platform.python_version())
    return bundle


def _secrets(opened: Opened) -> Mapping[str, str]:
    """Those that have a value here; of the others what looks like a secret is still taken out."""
    found: dict[str, str] = {}
    for secret in opened.deployment.secrets:
        with contextlib.suppress(SecretMissing):
            found |= resolve(replace(opened.deployment, secrets=(secret,)))
    return found


async def _status(opened: Opened, bundle: HandOver) -> None:
    bundle.add("status.json", json.dumps(as_json(await status(opened.cluster)), indent=2) + "\n")


async def _journal(opened: Opened, bundle: HandOver) -> None:
    found = await record(opened.cluster, JOURNAL_LINES)
    bundle.add("journal.ndjson", "".join(json.dumps(entry) + "\n" for entry in found.entries))
    if found.damaged:
        bundle.missing["journal, in part"] = f"{found.damaged} damaged lines"


async def _logs(opened: Opened, bundle: HandOver) -> None:
    names = [*(instance.name for instance in opened.deployment.instances), ROUTER, REGISTRAR]
    texts: dict[str, list[str]] = {}
    async for name, line in logs(opened.cluster, sources(opened.cluster, names), lines=LOG_LINES, follow=False):
        if isinstance(line, Trouble):
            bundle.missing[f"log of {name}"] = line.cause
        else:
            texts.setdefault(name, []).append(line.text)
    for name, lines in texts.items():
        bundle.add(f"logs/{name}.log", "\n".join(lines) + "\n")


async def _health(opened: Opened, bundle: HandOver) -> None:
    checked = await check(opened.cluster)
    for node, saved in checked.saved.items():
        bundle.add(f"health/{node}.json", saved.envelope.model_dump_json(by_alias=True))
    for node in opened.deployment.nodes.keys() - checked.saved.keys():
        bundle.missing[f"health of {node}"] = "the node could not be asked"


def _recorded(bundle: HandOver, path: Path, minutes: float) -> None:
    try:
        recording = Recording(path)
    except PdctlError as error:
        bundle.missing["recording"] = error.message
        return
    try:
        if recording.times:
            first = recording.at(recording.times[-1] - 60.0 * minutes)
            lines = [to_json(snapshot).decode() for snapshot in recording.since(first)]
            bundle.add("snapshots.ndjson", "\n".join(lines) + "\n")
    except ValueError as error:
        bundle.missing["recording"] = str(error)
    finally:
        recording.close()
