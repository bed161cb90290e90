"""Idle figures are the lowest of several looks: VRAM that a process of a second ago still gives back is no ghost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pdctl.health.envelope import Envelope
from pdctl.model.reading import Known, Reading, Unknown


def lowest(readings: Iterable[Reading[int]]) -> Reading[int]:
    """The lowest of what is known; Unknown where nothing is."""
    first_unknown = Unknown("it was not looked at")
    best: Known[int] | None = None
    for reading in readings:
        if isinstance(reading, Unknown):
            first_unknown = reading
        elif best is None or reading.value < best.value:
            best = reading
    return first_unknown if best is None else best


def looks(envelope: Envelope, path: str) -> Sequence[str]:
    """Every text that was read from `path`, oldest first: the samples, or else the one look at the file."""
    samples = envelope.samples.get(path, ())
    if samples:
        return samples
    file = envelope.files.get(path)
    return () if file is None or file.error else (file.text,)


def lowest_number(envelope: Envelope, path: str) -> Reading[int]:
    """The lowest whole number that `path` held. A negative one, or another text, is no number."""
    texts = looks(envelope, path)
    if not texts:
        file = envelope.files.get(path)
        return Unknown(file.error if file is not None and file.error else "not collected", path)
    return lowest(_number(text, path) for text in texts)


def _number(text: str, path: str) -> Reading[int]:
    stripped = text.strip()
    if not (stripped.isascii() and stripped.isdigit()):
        return Unknown(f"no number: {stripped[:40]!r}", path)
    return Known(int(stripped), path)
