"""What holds for every profile: headroom and targets only ever cost, and the search over a fleet misses nothing."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdctl.bench.sizing.fleet_match import beside, fleet_match
from pdctl.bench.sizing.match import match
from pdctl.bench.sizing.points import DecodePoint, PrefillPoint, Profile, Width
from pdctl.bench.sizing.profile import parse_profiles
from pdctl.bench.sizing.slo_match import Headroom, Kept, Slo, Terms, decode_rate, slo_match, usable
from pdctl.inventory.problems import InvalidInventory

pytestmark = pytest.mark.property

tps = st.floats(10, 1e6, allow_nan=False)
widths = st.sampled_from([1, 2, 4, 8]).map(lambda gpus: Width(gpus, gpus))
users = st.integers(1, 512)
prefills = st.lists(st.builds(PrefillPoint, widths, tps, st.none() | users), min_size=1, max_size=5).map(tuple)
decodes = st.lists(st.builds(DecodePoint, widths, tps, users), min_size=1, max_size=4).map(tuple)
lengths = st.integers(1, 20000)
profiles = st.builds(
    lambda isl, osl, reads, writes: Profile("m", isl, osl, reads, writes), lengths, lengths, prefills, decodes
)
shares = st.floats(0, 0.95)

WORDS = """prefill decode phase tp tp2 dp gpus isl osl concurrency tok_s p_gpus_tp1 best_p_gpus ttft_ms TP1 37,148
4 0 -1 1e9 nan # : , ; { } [ ] - " | ~ null {a: 1} 300ms"""
words = st.sampled_from([*WORDS.split(), "\n", "\n", "\t"])
texts = st.lists(words, max_size=40).map(" ".join) | st.text(max_size=80)


@given(texts, st.sampled_from(["p.csv", "p.yaml", "p"]))
def test_any_text_is_profiles_or_located_problems(text: str, file: str) -> None:
    try:
        found = parse_profiles(text, file)
    except InvalidInventory as error:
        if not all(problem.message and problem.line >= 1 and problem.col >= 1 for problem in error.located):
            pytest.fail(f"a problem has no place: {error.located}")
        return
    for profile in found:
        match(profile)


@given(profiles)
def test_the_prefill_that_is_matched_carries_the_demand_and_one_instance_less_would_not(profile: Profile) -> None:
    for row in match(profile):
        capacity = profile.peak(row.width).tps
        assert row.instances * capacity >= row.demand_tps * (1 - 1e-6)
        assert row.instances == 1 or (row.instances - 1) * capacity < row.demand_tps
        assert all(row.best_p_gpus <= gpus for gpus in row.p_gpus.values())
        assert all(
            row.width < width for width, gpus in row.p_gpus.items() if gpus == row.best_p_gpus and width != row.width
        )


@given(profiles, shares, shares, st.none() | st.floats(1e-3, 100))
def test_more_headroom_never_needs_fewer_prefill_gpus(
    profile: Profile, one: float, other: float, ttft_s: float | None
) -> None:
    less, more = (slo_match(profile, Terms(Slo(ttft_s=ttft_s), Headroom(share))) for share in sorted((one, other)))
    for few, many in zip(less, more, strict=True):
        assert isinstance(few, Kept) == isinstance(many, Kept)
        if isinstance(few, Kept) and isinstance(many, Kept):
            assert many.matched.best_p_gpus >= few.matched.best_p_gpus


@given(profiles, st.floats(1e-3, 10), st.floats(1e-3, 10))
def test_a_tighter_ttft_never_needs_fewer_prefill_gpus_and_never_keeps_more(
    profile: Profile, one: float, other: float
) -> None:
    loose, tight = (slo_match(profile, Terms(Slo(ttft_s=ttft_s))) for ttft_s in sorted((one, other), reverse=True))
    for easy, hard in zip(loose, tight, strict=True):
        if isinstance(hard, Kept):
            assert isinstance(easy, Kept)
            assert hard.matched.best_p_gpus >= easy.matched.best_p_gpus


@given(
    profiles,
    st.lists(st.integers(1, 8), min_size=1, max_size=3),
    st.builds(Terms, st.builds(Slo, st.none() | st.floats(1e-2, 10), st.none() | st.floats(1e-3, 1))),
)
def test_the_search_over_a_fleet_equals_trying_everything(profile: Profile, nodes: list[int], terms: Terms) -> None:
    found = fleet_match(profile, nodes, terms)
    best = 0.0
    for row, width in product(slo_match(profile, terms), profile.widths()):
        if not isinstance(row, Kept):
            continue
        point = row.matched.point
        able = usable(profile, width, point.width, terms)
        if isinstance(able, str):
            continue
        for split in product(*(range(gpus // width.gpus + 1) for gpus in nodes)):
            reads = sum(split)
            writes = sum((gpus - n * width.gpus) // point.width.gpus for n, gpus in zip(split, nodes, strict=True))
            rate = min(reads * able.tps / profile.isl, writes * decode_rate(profile, point, terms)[0])
            best = max(best, rate)
    assert (found.requests_per_s if found else 0.0) == pytest.approx(best, rel=1e-6)
    if found:
        room = beside(nodes, found.prefill_width.gpus, found.point.width.gpus)
        assert found.decode <= room[found.prefill]
        assert found.used == found.prefill * found.prefill_width.gpus + found.decode * found.point.width.gpus
