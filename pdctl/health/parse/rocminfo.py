"""`rocminfo`: the agents that the HSA runtime can use, which is what an engine will see."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pdctl.health.parse.fields import Field
from pdctl.health.parse.pci_address import from_location
from pdctl.model.reading import Known, Reading, Unknown

SOURCE = "rocminfo"
DONE = "*** Done ***"
_AGENT = re.compile(r"^Agent (\d+) *$", re.MULTILINE)
_ATTRIBUTE = re.compile(r"^  ([A-Z][^:\n]*?): *(\S[^\n]*?) *$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Agent:
    """One GPU agent; a partition is one of its own."""

    node: Reading[int]
    isa: Reading[str]  # "gfx942"
    market_name: Reading[str]
    uuid: Reading[str]
    address: Reading[str]


def parse_rocminfo(text: str) -> Reading[tuple[Agent, ...]]:
    """The GPU agents in rocminfo's order. Unknown where it did not get to its end, or shows an agent of no type."""
    if DONE not in text:
        said = next((line.strip() for line in text.splitlines() if line.strip()), "nothing")
        return Unknown(f"{SOURCE} did not get to its end; it begins with {said[:120]!r}", SOURCE)
    starts = [match.start() for match in _AGENT.finditer(text)]
    agents: list[Agent] = []
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        about = _attributes(text[start:end])
        kind = about.get("Device Type")
        if kind not in {"CPU", "GPU", "DSP", "AIE"}:
            return Unknown(f"{SOURCE} shows an agent whose device type is {kind!r}", SOURCE)
        if kind == "GPU":
            agents.append(_agent(Field(about, SOURCE, f"agent {len(agents)}")))
    return Known(tuple(agents), SOURCE)


def _attributes(block: str) -> Mapping[str, str]:
    """The agent's own attributes, which are indented by two; the first of each name, since pools have names too."""
    found: dict[str, str] = {}
    for name, value in _ATTRIBUTE.findall(block):
        found.setdefault(name, value)
    return found


def _agent(about: Field) -> Agent:
    location, domain = about["BDFID"].count(), about["Domain"].count()
    address: Reading[str] = (
        location
        if isinstance(location, Unknown)
        else Known(from_location(domain.value if isinstance(domain, Known) else 0, location.value), SOURCE)
    )
    return Agent(
        about["Node"].count(), about["Name"].text(), about["Marketing Name"].text(), about["Uuid"].text(), address
    )
