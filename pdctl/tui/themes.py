"""pdctl's themes. The first is the default, of the Okabe-Ito palette. In each, the colours of states differ for every
common kind of colour blindness (tests compute it), and no state is told by colour alone."""

from __future__ import annotations

from typing import Final

from textual.theme import Theme

_SAFE: Final = {
    "pdctl-muted": "#8a949e",
    "pdctl-cursor": "#274a66",
    "pdctl-unknown": "#cc79a7",
    "pdctl-prefill": "#e69f00",
    "pdctl-decode": "#56b4e9",
    "pdctl-mixed": "#cc79a7",
}

THEMES: Final = (
    Theme(
        name="pdctl-dark", primary="#56b4e9", secondary="#e69f00", accent="#e69f00", success="#56b4e9",
        warning="#f0e442", error="#ff7043", foreground="#d8dee4", background="#101418", surface="#171d23",
        panel="#1f2830", dark=True, variables=_SAFE,
    ),
    Theme(
        name="pdctl-light", primary="#0072b2", secondary="#b35900", accent="#b35900", success="#0080c8",
        warning="#9a7b00", error="#701000", foreground="#1b1f24", background="#fbfbf9", surface="#f1f1ee",
        panel="#e2e4e6", dark=False,
        variables={
            "pdctl-muted": "#6a737d", "pdctl-cursor": "#c9dff0", "pdctl-unknown": "#c050a0",
            "pdctl-prefill": "#b35900", "pdctl-decode": "#0072b2", "pdctl-mixed": "#99447a",
            "pdctl-heat-0": "#2f5d8a", "pdctl-heat-1": "#0072b2", "pdctl-heat-2": "#4a7a1e",
            "pdctl-heat-3": "#8a6d00", "pdctl-heat-4": "#b35900", "pdctl-heat-5": "#b02a00",
        },
    ),
    Theme(
        name="pdctl-contrast", primary="#ffffff", secondary="#ffff00", accent="#ffff00", success="#00ffff",
        warning="#ffff00", error="#ff8866", foreground="#ffffff", background="#000000", surface="#000000",
        panel="#262626", dark=True,
        variables={**_SAFE, "pdctl-muted": "#c0c0c0", "pdctl-cursor": "#005f87"},
    ),
)  # fmt: skip
