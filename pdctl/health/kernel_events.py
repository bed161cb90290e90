"""A node's kernel log: `dmesg` first, the journal second; what happened, and since when the log goes back."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pdctl.health.envelope import Envelope, Item
from pdctl.health.parse.kernel_log import KernelEvent, first_time, has_times, parse_kernel_log
from pdctl.model.reading import Known, Reading, Unknown

DMESG = "dmesg"
JOURNAL = "journalctl"


@dataclass(frozen=True, slots=True)
class KernelLog:
    """`events` have wall clock times where the log lets them be known. `since_s`: the log is whole from there on;
    None: from the boot on. `cut`: it ends in half a line, so that more may have followed."""

    events: Reading[tuple[KernelEvent, ...]]
    since_s: float | None = None
    cut: bool = False


def read_kernel_log(envelope: Envelope) -> KernelLog:
    """From one envelope. Only the end of a long log is kept, which is the part that counts."""
    reasons = []
    for name in (DMESG, JOURNAL):
        item = envelope.items.get(name)
        why = _useless(item)
        if item is not None and not why:
            booted_s = envelope.wall_s - envelope.mono_s if envelope.mono_s else None
            events = tuple(_timed(event, booted_s) for event in parse_kernel_log(item.stdout))
            since_s = first_time(item.stdout, booted_s) if item.truncated else None
            return KernelLog(Known(events, name), since_s, cut=not item.stdout.endswith("\n"))
        reasons.append(f"{name}: {why}")
    return KernelLog(Unknown("; ".join(reasons), DMESG))


def _useless(item: Item | None) -> str:
    """Why an item is no log, or ""."""
    if item is None:
        return "was not collected"
    if item.timed_out:
        return f"did not answer in {item.seconds:.0f} s"
    if item.status is None:
        return item.refused or "did not run"
    if item.status != 0 or not item.stdout.strip():
        said = next((line.strip() for line in item.stderr.splitlines() if line.strip()), "it printed nothing")
        return f"status {item.status}: {said[:120]}"
    return "" if has_times(item.stdout) else f"printed no kernel log but {item.stdout.strip()[:80]!r}"


def _timed(event: KernelEvent, booted_s: float | None) -> KernelEvent:
    if event.at_s is not None or event.since_boot_s is None or booted_s is None:
        return event
    return replace(event, at_s=booted_s + event.since_boot_s)
