"""What a tool printed during a collection, or in words why there is nothing to read."""

from __future__ import annotations

from collections.abc import Iterator

from pdctl.health.envelope import Envelope
from pdctl.model.reading import Known, Reading, Unknown


def output(envelope: Envelope, item: str) -> Reading[str]:
    """The standard output of one item, with `item` as its source.

    A status other than 0 with output is left to the parser; without output it is a failure, told with the tool's own
    words. So is an output that was longer than its cap: what is missing from it must not pass for absent.
    """
    found = envelope.items.get(item)
    if found is None:
        return Unknown(f"{item} was not collected", item)
    if found.timed_out:
        return Unknown(f"{found.argv[0] if found.argv else item} did not answer in {found.seconds:.0f} s", item)
    if found.truncated:
        return Unknown("its output was longer than what is kept of it", item)
    if found.stdout.strip():
        return Known(found.stdout, item)
    if found.status is None:
        return Unknown(found.refused or "it did not run", item)
    said = next((line.strip() for line in found.stderr.splitlines() if line.strip()), "")
    return Unknown(f"it printed nothing (status {found.status}{f': {said[:100]}' if said else ''})", item)


def absent(envelope: Envelope, item: str) -> bool:
    """Whether the node does not have the tool, or nothing asked for it: then a check of it does not apply."""
    found = envelope.items.get(item)
    if found is None or found.timed_out:
        return found is None
    return "not found" in found.refused if found.status is None else "command not found" in found.stderr


def items_of(envelope: Envelope, prefix: str) -> Iterator[tuple[str, str]]:
    """(item id, what it is about) of every item `prefix.<what>`."""
    for item in envelope.items:
        if item.startswith(f"{prefix}."):
            yield item, item[len(prefix) + 1 :]
