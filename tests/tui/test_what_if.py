"""What an operator types for another workload: read, completed by what is observed, and said as a command."""

from __future__ import annotations

import pytest

from pdctl.advisor.observed import Observed
from pdctl.advisor.rank import Objective
from pdctl.errors import TooThin
from pdctl.tui.what_if import WhatIf, command_of, parse_what_if, query_of
from tests.unit.deployments import r1_2p3d

SEEN = Observed(rate_per_s=3.0, isl=512.0, osl=64.0, waiting=0.0, covered_s=300.0, window_s=300, notes=("estimated",))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("isl=8192 osl=1024 rate=2", WhatIf(8192.0, 1024.0, 2.0)),
        ("isl=8k, osl=1K, users=64", WhatIf(8192.0, 1024.0, concurrency=64)),
        ("rate=0.5 ttft=5s itl=100ms", WhatIf(rate=0.5, ttft=5.0, itl=0.1)),
    ],
)
def test_a_workload_is_read_and_could_be_typed_again(text: str, meant: WhatIf) -> None:
    assert parse_what_if(text) == meant
    assert parse_what_if(meant.text) == meant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing was typed"),
        ("8192/1024", "is not understood"),
        ("isl=big", "isl=big: tokens of a prompt"),
        ("isl=0", "isl=0"),
        ("rate=-1", "rate=-1"),
        ("rate=nan", "rate=nan"),
        ("isl=1e99", "isl=1e99"),
        ("concurrency=1.5", "concurrency=1.5: how many at once"),
        ("itl=5 parsecs", "is not understood"),
        ("itl=5parsecs", "itl=5parsecs: a time"),
        ("isl=1 isl=2", "isl is said twice"),
        ("rate=1 concurrency=2", "not both"),
    ],
)
def test_what_is_no_workload_is_told_in_a_line(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_what_if(text)


def test_what_is_left_out_is_as_observed_and_what_nobody_knows_is_refused() -> None:
    twice = query_of(r1_2p3d(), SEEN, WhatIf(rate=6.0), Objective.GOODPUT)
    assert (twice.isl, twice.osl, twice.rate_per_s, twice.slo) == (512.0, 64.0, 6.0, r1_2p3d().slo)
    with pytest.raises(TooThin, match="neither typed nor observed: osl, rate"):
        query_of(r1_2p3d(), None, WhatIf(isl=8192.0), Objective.GOODPUT)


def test_the_command_says_the_same() -> None:
    typed = WhatIf(isl=8192.0, concurrency=64, itl=0.1)
    query = query_of(r1_2p3d(), SEEN, typed, Objective.THROUGHPUT)
    command = "pdctl advise --isl 8192 --osl 64 --concurrency 64 --slo itl=0.1s --objective throughput"
    assert command_of(typed, query, Objective.THROUGHPUT) == command
    assert command_of(None, None, Objective.GOODPUT) == "pdctl advise --observed --objective goodput"
