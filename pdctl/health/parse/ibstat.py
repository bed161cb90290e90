"""infiniband-diags' `ibstat`: devices with their ports."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pdctl.health.parse.rdma_words import link_layer, physical_state, port_state
from pdctl.health.parse.text_values import colon_lines, nothing_in, number_of, text_of, under
from pdctl.model.reading import Known, Reading

SOURCE: Final = "ibstat"
_DEVICE: Final = re.compile(r"\s*CA '([^']+)'\s*")
_PORT: Final = re.compile(r"\s*Port (\d{1,3}):\s*")


@dataclass(frozen=True, slots=True)
class IbPort:
    """One port; `rate` in Gb/s."""

    number: int
    state: Reading[str]
    physical: Reading[str]
    rate: Reading[float]
    link_layer: Reading[str]


@dataclass(frozen=True, slots=True)
class IbDevice:
    """One device (`CA 'mlx5_0'`). `type` is the adapter's part, like MT4129."""

    name: str
    type: Reading[str]
    firmware: Reading[str]
    ports: tuple[IbPort, ...]


def ibstat(text: str) -> Reading[tuple[IbDevice, ...]]:
    """Every `CA` block, or why there is none."""
    devices: list[IbDevice] = []
    name: str | None = None
    block: list[str] = []
    for line in text.splitlines():
        if match := _DEVICE.fullmatch(line):
            if name is not None:
                devices.append(_device(name, block))
            name, block = match.group(1), []
        else:
            block.append(line)
    if name is None:
        return nothing_in(text, SOURCE)
    devices.append(_device(name, block))
    return Known(tuple(devices), SOURCE)


def _device(name: str, lines: list[str]) -> IbDevice:
    starts = [at for at, line in enumerate(lines) if _PORT.fullmatch(line)]
    head = _pairs(lines[: starts[0]] if starts else lines)
    ends = [*starts[1:], len(lines)]
    return IbDevice(
        name=name,
        type=under(head, "CA type", SOURCE, text_of),
        firmware=under(head, "Firmware version", SOURCE, text_of),
        ports=tuple(_port(lines[start:end]) for start, end in zip(starts, ends, strict=False)),
    )


def _port(lines: list[str]) -> IbPort:
    match = _PORT.fullmatch(lines[0])
    assert match is not None
    pairs = _pairs(lines[1:])
    return IbPort(
        number=int(match.group(1)),
        state=under(pairs, "State", SOURCE, port_state),
        physical=under(pairs, "Physical state", SOURCE, physical_state),
        rate=under(pairs, "Rate", SOURCE, number_of),
        link_layer=under(pairs, "Link layer", SOURCE, link_layer),
    )


def _pairs(lines: list[str]) -> dict[str, str]:
    return {line.key: line.value for line in colon_lines("\n".join(lines))}
