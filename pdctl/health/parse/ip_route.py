"""iproute2's `ip rule` and `ip route show table all`, as JSON (-j) and as text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from pdctl.health.parse.json_documents import Json, records
from pdctl.health.parse.text_values import nothing_in
from pdctl.model.reading import Known, Reading, Unknown

_RULE: Final = re.compile(r"(\d{1,10}):\s+(.*)")
_ROUTE_TYPES: Final = frozenset(
    {"unicast", "local", "broadcast", "multicast", "throw", "unreachable", "prohibit", "blackhole", "nat"}
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One policy rule. `source` "all" or an address with prefix length; `oif` "" unless it asks for a device."""

    priority: int
    source: str
    table: str
    oif: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """One route. `table` "main" unless it says another; `device`, `gateway`, `prefsrc` "" where there is none."""

    destination: str
    device: str = ""
    gateway: str = ""
    prefsrc: str = ""
    table: str = "main"
    kind: str = "unicast"


def ip_rules(text: str) -> Reading[tuple[Rule, ...]]:
    """`ip rule`. There are always three of the kernel's own; an output without any is unknown."""
    source = "ip rule"
    rows, found = records(text)
    if found.damaged:
        return Unknown(found.why_empty, source)
    if found.values:
        rules = [rule for row in rows if (rule := _json_rule(row)) is not None]
    else:
        rules = [_text_rule(match) for line in text.splitlines() if (match := _RULE.fullmatch(line.strip()))]
    return Known(tuple(rules), source) if rules else nothing_in(text, source)


def ip_routes(text: str) -> Reading[tuple[Route, ...]]:
    """`ip route [show table all]`."""
    source = "ip route"
    rows, found = records(text)
    if found.damaged:
        return Unknown(found.why_empty, source)
    if found.values:
        routes = [_route(str(row["dst"]), row) for row in rows if isinstance(row.get("dst"), str)]
    else:
        routes = [route for line in text.splitlines() if (route := _text_route(line)) is not None]
    return Known(tuple(routes), source) if routes else nothing_in(text, source)


def default_device(routes: tuple[Route, ...]) -> str:
    """The device of the main table's first default route; "" where there is none."""
    return next((route.device for route in routes if route.table == "main" and route.destination == "default"), "")


def _json_rule(row: Mapping[str, Json]) -> Rule | None:
    priority, table = row.get("priority"), row.get("table")
    if not isinstance(priority, int) or isinstance(priority, bool) or not isinstance(table, str | int):
        return None
    source = _word(row, "src") or "all"
    length = row.get("srclen")
    return Rule(priority, f"{source}/{length}" if isinstance(length, int) else source, str(table), _word(row, "oif"))


def _text_rule(match: re.Match[str]) -> Rule:
    words = match.group(2).split()
    pairs = dict(pairwise(words))
    table = pairs.get("lookup") or pairs.get("table") or ""
    return Rule(int(match.group(1)), pairs.get("from", "all"), table, pairs.get("oif", ""))


def _text_route(line: str) -> Route | None:
    words = line.split()
    kind = "unicast"
    if words and words[0] in _ROUTE_TYPES:
        kind, words = words[0], words[1:]
    if not words or not re.fullmatch(r"default|[0-9a-fA-F.:]+(/\d{1,3})?", words[0]):
        return None
    pairs: dict[str, Json] = dict(pairwise(words[1:]))
    named: dict[str, Json] = {
        "type": kind, "dev": pairs.get("dev"), "gateway": pairs.get("via"),
        "prefsrc": pairs.get("src"), "table": pairs.get("table"),
    }  # fmt: skip
    return _route(words[0], named)


def _route(destination: str, row: Mapping[str, Json]) -> Route:
    return Route(
        destination=destination,
        device=_word(row, "dev"),
        gateway=_word(row, "gateway"),
        prefsrc=_word(row, "prefsrc"),
        table=_word(row, "table") or "main",
        kind=_word(row, "type") or "unicast",
    )


def _word(row: Mapping[str, Json], key: str) -> str:
    value = row.get(key)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
