"""Metrics text for the telemetry tests, as vLLM prints it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prometheus_client.parser import text_string_to_metric_families

from pdctl.telemetry.families import ENGINE_FAMILIES, scraped_names
from pdctl.telemetry.scan import Scan, Scanner

NAMES = scraped_names(ENGINE_FAMILIES)


def by_library(text: str, names: frozenset[str] = NAMES) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The chosen samples as prometheus_client reads them. Raises ValueError where it does not read the text."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): float(sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name in names
    }


def as_plain(scan: Scan) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """A scan in the shape of `by_library`."""
    return {(series.name, series.labels): value for series, value in scan.samples.items()}


def counter(name: str, value: float, **labels: str) -> str:
    """One sample line of a counter or gauge."""
    return f"vllm:{name}{{{_labels(labels)}}} {value}\n"


def histogram(name: str, events: Sequence[float], bounds: Sequence[float], **labels: str) -> str:
    """A histogram of these events, with +Inf, sum and count."""
    lines = [
        f"vllm:{name}_bucket{{{_labels({**labels, 'le': str(bound)})}}} {sum(event <= bound for event in events)}"
        for bound in bounds
    ]
    lines.append(f"vllm:{name}_bucket{{{_labels({**labels, 'le': '+Inf'})}}} {len(events)}")
    lines.append(f"vllm:{name}_count{{{_labels(labels)}}} {len(events)}")
    lines.append(f"vllm:{name}_sum{{{_labels(labels)}}} {sum(events)}")
    return "\n".join(lines) + "\n"


def scanned(text: str, scanner: Scanner | None = None) -> Scan:
    """One scrape of `text`."""
    return (scanner or Scanner(NAMES)).scan(text)


def _labels(labels: Mapping[str, str]) -> str:
    named = {"engine": "0", "model_name": "tiny", **labels}
    return ",".join(f'{key}="{value}"' for key, value in sorted(named.items()))
