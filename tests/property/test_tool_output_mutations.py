"""Real outputs of tools, damaged: no parser raises, and what is still claimed is what the whole output said.

`PDCTL_HEALTH_EXAMPLES=10000` (or `make check-mutations`) runs as many cases as one likes.
"""

from __future__ import annotations

import os
import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdctl.health.parse.amd_smi_cper import parse_cper
from pdctl.health.parse.kernel_log import parse_kernel_log
from tests import tool_outputs
from tests.property.gpu_output_claims import FAMILIES
from tests.property.health_mutations import TEXTS
from tests.property.tool_output_claims import Claims, Family

CASES = settings(max_examples=int(os.environ.get("PDCTL_HEALTH_EXAMPLES", "200")), deadline=None)

SEVERAL = ("amd-smi/changelog-L20-amd-smi-metric-b.txt",)
"""A transcript of three commands that contradict each other, of which a cut one holds fewer."""

PAIRS = tuple(
    (family, name)
    for family in FAMILIES
    for name in tool_outputs.names(*sorted({prefix.split("/")[0] for prefix in family.files}))
    if name.startswith(family.files)
    and name not in SEVERAL
    and not (family.whole_only and tool_outputs.says_it_is_cut(name))
)


@cache
def intact(family: Family, name: str) -> Claims:
    return family.claim(tool_outputs.read(name))


def damaged(text: str, seed: int) -> str:
    """One damage; two where the first did not leave half a line, to which the second would be glued."""
    rng = random.Random(seed)
    text = rng.choice(TEXTS)(text, rng)
    half_a_line = not text.endswith("\n") and not text.startswith(("[", "{"))
    return text if half_a_line or rng.random() < 0.5 else rng.choice(TEXTS)(text, rng)


@pytest.mark.skipif(not PAIRS, reason="no real tool outputs: PDCTL_TOOL_OUTPUTS names no directory that has them")
@CASES
@given(pair=st.integers(0, max(len(PAIRS) - 1, 0)), seed=st.integers(0, 1 << 32))
def test_what_is_still_claimed_is_what_the_whole_output_said(pair: int, seed: int) -> None:
    family, name = PAIRS[pair]
    whole = intact(family, name)
    left = family.claim(damaged(tool_outputs.read(name), seed))
    wrong = {path: (value, whole.get(path, "nothing")) for path, value in left.items() if whole.get(path) != value}
    wrong = {path: both for path, both in wrong.items() if not path.endswith(".index")}
    assert wrong == {}, f"{family.name} of {name}"


@pytest.mark.skipif(not PAIRS, reason="no real tool outputs: PDCTL_TOOL_OUTPUTS names no directory that has them")
@CASES
@given(
    name=st.sampled_from(tool_outputs.names("dmesg", "amd-smi", "rocm-smi", "lspci", "modinfo") or ("",)),
    seed=st.integers(0, 1 << 32),
)
def test_logs_and_records_never_raise(name: str, seed: int) -> None:
    text = damaged(tool_outputs.read(name), seed)
    parse_kernel_log(text)
    parse_cper(text)
