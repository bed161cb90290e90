"""Rate matching: every published row, profiles in every spelling, mistakes with their places, and what terms change."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from pdctl.bench.sizing.agree import agree, columns_of
from pdctl.bench.sizing.changes import changes
from pdctl.bench.sizing.fleet_match import best_layouts, fleet_match
from pdctl.bench.sizing.match import match
from pdctl.bench.sizing.points import DecodePoint, PrefillPoint, Profile, Width
from pdctl.bench.sizing.profile import InvalidProfile, Overrides, load_profiles, parse_profiles
from pdctl.bench.sizing.slo_match import (
    Dropped,
    Headroom,
    Kept,
    KvCost,
    Rule,
    Slo,
    Terms,
    md1_load,
    slo_match,
)
from pdctl.cli.main import main
from pdctl.model.role import TransferMode
from tests.published_matches import GPT_OSS, LLAMA

SHIPPED = {"gpt-oss-120b-mi300x": GPT_OSS, "llama-3.3-70b-fp8-mi300x": LLAMA}


def published(text: str) -> Profile:
    (profile,) = parse_profiles(text, "published.csv")
    return profile


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "match", *argv])
    printed = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, printed.out, printed.err


@pytest.mark.parametrize("text", [GPT_OSS, LLAMA], ids=["gpt-oss-120b", "llama-3.3-70b"])
def test_every_published_row_is_reproduced(text: str) -> None:
    rows = match(published(text))
    wanted = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    assert len(rows) == len(wanted) == 13
    for row, want in zip(rows, wanted, strict=True):
        got = columns_of(row)
        assert {name: got[name] for name in got} == {name: pytest.approx(float(want[name]), rel=1e-8) for name in got}


def test_a_profile_that_states_a_wrong_result_is_told_which(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "claims.csv"
    file.write_text(GPT_OSS.replace("39219.2,2,2,4,8,2,4,153.2", "39219.2,1,2,4,8,1,4,153.2"))
    code, out, _ = run(capsys, "--profile", str(file))
    assert code == 0
    assert "12 of 13 rows agree" in out
    assert "line 6: p_gpus_tp1 2 here, 1 in the file" in out
    assert "line 6: best_p_gpus 2 here, 1 in the file" in out


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_profiles_are_the_published_figures(name: str) -> None:
    (shipped,) = load_profiles(Path(name))
    theirs = published(SHIPPED[name])
    assert [columns_of(row) for row in match(shipped)] == [columns_of(row) for row in match(theirs)]


SPELLINGS = {
    "sections.yaml": """
        model: gpt
        isl: 4096
        osl: 256
        prefill: [{tp: 1, tok_s: 37148}, {tp: 2, tok_s: 53577}]
        decode: [{tp: 2, concurrency: 4, tok_s: 730.9}, {tp: 2, concurrency: 8, tok_s: 1329.2}]
        """,
    "widths.yaml": """
        workload: {input_len: 4096, output_len: 256}
        prefill: {tp1: "37,148", TP=2: 53577}
        decode: {tp2: {4: 730.9, 8: 1329.2}}
        """,
    "lists.yml": """
        phases:
          prefill_only: {tensor-parallel-size: [1, 2], total_token_throughput: [37148, 53577], isl: 4096, osl: 1}
          decode_only: {tp: 2, isl: 4096, osl: 256, max_concurrency: [4, 8], output_throughput: [730.9, 1329.2]}
        """,
    "rows.json": json.dumps(
        [
            {"phase": "prefill", "isl": 4096, "tp": 1, "tok_s_per_gpu": 37148},
            {"phase": "prefill", "isl": 4096, "tp": 2, "tok_s_per_gpu": 26788.5},
            {"phase": "decode", "isl": 4096, "osl": 256, "gpus": 2, "users": 4, "tpsu": 182.725},
            {"phase": "decode", "isl": 4096, "osl": 256, "gpus": 2, "users": 8, "tpsu": 166.15},
        ]
    ),
    "phase.csv": """
        # ISL=4096, OSL=256
        Phase;Config;Concurrency;Tokens/s
        prefill;TP=1;16;37148
        prefill;TP=2;16;53577
        decode;TP=2;4;730.9
        decode;TP=2;8;1329.2
        """,
    "shape.csv": """
        workload_type,isl,osl,tp,dp,concurrency,Total Token throughput (tok/s),Output token throughput (tok/s),note
        prefill,4096,1,1,1,16,37148,9.07,
        prefill,4096,1,2,1,8,40000,10,
        prefill,4096,1,2,1,16,53577,13.1,
        decode,4096,256,2,1,4,12425.3,730.9,quiet
        decode,4096,256,2,1,8,22596.4,1329.2,
        """,
    "comments.csv": """
        # Profile of 1 November, ISL 4096
        # prefill throughput (total tok/s) by width:
        #   TP=1: 37,148; TP=2: 53,577
        # decode alone, TP2, OSL 256; TP4 8000 was not tried
        max_concurrency,output_throughput
        4,730.9
        8,1329.2
        """,
    "fleet.yaml": """
        gpu: MI300X
        gpus: 16
        isl: 4096
        osl: 256
        prefill: [{parallelism: {tensor: 1}, tok_s: 37148 tok/s}, {parallelism: {tensor: 2}, tok_s: 53.577k}]
        decode: [{parallelism: {tensor: 2}, sweep: {c4: 730.9, c8: 1329.2}}]
        """,
    "side-by-side.csv": """
        isl,osl,prefill_tp,prefill_tok_s,decode_tp,decode_concurrency,decode_tok_s
        4096,256,1,37148,2,4,730.9
        4096,256,2,53577,2,8,1329.2
        """,
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_one_profile_in_many_spellings(name: str) -> None:
    text = "\n".join(line.removeprefix("        ") for line in SPELLINGS[name].strip("\n").splitlines())
    (profile,) = parse_profiles(text, name)
    rows = match(profile)
    assert [(row.best_p_gpus, row.total_gpus) for row in rows] == [(1, 3), (1, 3)]
    assert [row.demand_tps for row in rows] == pytest.approx([11694.4, 21267.2])
    assert [row.tpsg for row in rows] == pytest.approx([243.6333, 443.0667])
    assert {width.label: profile.peak(width).tps for width in profile.widths()} == {"tp1": 37148, "tp2": 53577}


def test_every_mistake_of_a_table_is_told_at_once_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(
        "phase,tp,concurrency,tok_s\nprefill,one,4,100\ndecode,2,,100\ndecod,2,4,100\ndecode,2,4,fast\ndecode,x,,-3\n"
    )
    code, _, err = run(capsys, "--profile", str(file))
    assert code == 65
    places = [line.removeprefix(str(file)) for line in err.splitlines() if line.startswith(f"{file}:")]
    assert places == [
        ":2:9: tp: must be a width, not 'one'",
        ":3:1: a decode row has no concurrency",
        ":4:1: phase: 'decod' is no phase",
        ":5:12: tok_s: must be a number, not 'fast'",
        ":6:1: a decode row has no concurrency",
        ":6:8: tp: must be a width, not 'x'",
        ":6:11: tok_s: must be more than 0, not '-3'",
    ]
    assert "hint: add a column `concurrency`" in err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the profile is empty"),
        ("prefill: 3\nisl: 5\n", "holds no decode throughput"),
        ("isl: 10\nosl: 5\nprefill:\n  - {tp: 1, tok_s: 0}\ndecode: [{tp: 1, concurrency: 1, tok_s: 5}]\n", ":4:20:"),
        ("isl: 10\nprefill: {1: 100}\ndecode:\n  - {tp: 1, concurrency: 1, tok_s: 5}\n", "OSL is not said"),
        ("isl: 10\nosl: 5\nprefill: {1: 100}\ndecode: [{tp: 1, concurrency: 1, tps: [5, 6], c: [1]}]\n", "different"),
        ("isl: 10\nosl: 5\nprefill: {1: 100}\ndecode: [{tp: 2, gpus: 3, c: 1, tps: 5}]\n", "cannot hold TP 2 x DP 1"),
        ("isl: 10\nosl: 5\nprefill: [{tp: 1, tps: 9, ttft: 3000}]\ndecode: [{tp: 2, c: 1, tps: 5}]\n", "is seconds"),
        ("isl: 10\nosl: 5\nprefill: {1: 100}\ndecode: [{tp: 2, c: 1, req_rate: x}]\n", "has no throughput"),
        ("prefill: [\n", "not valid YAML"),
    ],
)
def test_what_a_yaml_profile_lacks(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(text)
    with pytest.raises(InvalidProfile) as refused:
        load_profiles(file)
    assert said in "\n".join(refused.value.problems)


def test_lengths_in_k_are_those_of_scenarios_and_rates_in_k_are_thousands() -> None:
    (profile,) = parse_profiles("phase,tp,c,tok_s,isl,osl\nprefill,1,,20k,4k,1k\ndecode,2,8,1.2k,4k,1k\n", "p.csv")
    assert (profile.isl, profile.osl, profile.prefill[0].tps, profile.decode[0].tps) == (4096, 1024, 20000, 1200)


def test_a_row_that_stands_there_twice_counts_once() -> None:
    head, row = "phase,tp,c,tok_s,isl,osl\nprefill,1,,20000,4096,256\n", "decode,2,8,1000,4096,256\n"
    (profile,) = parse_profiles(head + row + row + row.replace("1000", "1001"), "p.csv")
    assert [point.tps for point in profile.decode] == [1000, 1001]


def test_a_file_of_two_shapes_gives_two_profiles_and_isl_picks_one() -> None:
    text = (
        "phase,isl,osl,tp,concurrency,tok_s\nprefill,1000,1,1,4,9000\nprefill,4000,1,1,4,8000\n"
        "decode,1000,100,1,4,90\ndecode,4000,100,1,4,80\n"
    )
    both = parse_profiles(text, "p.csv")
    assert [(each.isl, each.prefill[0].tps, each.decode[0].tps) for each in both] == [
        (1000, 9000, 90),
        (4000, 8000, 80),
    ]
    (one,) = parse_profiles(text, "p.csv", Overrides(isl=4000))
    assert one == both[1]


def test_slo_and_headroom_say_what_they_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "p.csv"
    file.write_text(GPT_OSS)
    code, out, _ = run(capsys, "--profile", str(file), "--slo", "ttft=500ms,tpot=10ms", "--headroom", "10%")
    assert code == 0
    assert "tp2 at 128: left out: TPOT 16.16 ms (1/TPSU) is above 10 ms" in out
    assert "tp2 at 12: 1p-tp1-1d-tp2 -> 2p-tp1-1d-tp2, TPSG 616.2 -> 462.2" in out


def test_json_has_the_published_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "p.csv"
    file.write_text(LLAMA)
    _, out, _ = run(capsys, "--profile", str(file), "--json", "--gpus", "8x2")
    body = json.loads(out)
    assert body["agreement"]["agreed"] == body["agreement"]["compared"] == 13
    assert body["rows"][-1]["best_p_gpus"] == 5
    assert body["fleet"]["gpus"] == 16


def test_the_printed_csv_is_a_profile_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, again = tmp_path / "p.csv", tmp_path / "again.csv"
    file.write_text(GPT_OSS)
    _, out, _ = run(capsys, "--profile", str(file), "--csv")
    again.write_text(out)
    (profile,) = load_profiles(again)
    assert agree(match(profile)).agreed == 13


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--slo", "ttft"), "name=value"),
        (("--slo", "e2el=1s"), "knows no 'e2el'"),
        (("--slo", "ttft=fast"), "must be a duration"),
        (("--headroom", "1.5"), "cannot be"),
        (("--gpus", "many"), "takes numbers of GPUs"),
    ],
)
def test_terms_that_cannot_be_are_refused(
    options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "--profile", "gpt-oss-120b-mi300x", *options)
    assert code == 64
    assert said in err


ONE = Width(1, 1)
TWO = Width(2, 2)


def profile_of(prefill: tuple[PrefillPoint, ...], *decode: DecodePoint) -> Profile:
    return Profile("m", 1000, 100, prefill, decode)


def test_a_ttft_target_takes_the_best_measured_point_that_keeps_it() -> None:
    """C x ISL / throughput is the TTFT of a closed loop: 100, 167 and 500 ms."""
    curve = tuple(PrefillPoint(ONE, tps, users) for users, tps in ((1, 10000), (4, 24000), (16, 32000)))
    profile = profile_of(curve, DecodePoint(TWO, 2600, 10))
    assert match(profile)[0].instances == 1
    (row,) = slo_match(profile, Terms(Slo(ttft_s=0.2)))
    assert isinstance(row, Kept)
    assert row.usable.point.concurrency == 4
    assert row.usable.ttft_s == pytest.approx(4 * 1000 / 24000)
    assert row.matched.instances == 2
    (late,) = slo_match(profile, Terms(Slo(ttft_s=0.05)))
    assert isinstance(late, Dropped)
    assert "TTFT 100 ms at its least concurrency is above the target" in late.why


def test_without_a_curve_waiting_follows_from_the_queue_or_from_aiconfigurators_rule() -> None:
    profile = profile_of((PrefillPoint(ONE, 10000),), DecodePoint(TWO, 900, 10))  # a prompt alone takes 100 ms
    (queue,) = slo_match(profile, Terms(Slo(ttft_s=0.15)))  # wait <= s / 2: load <= 1/2
    assert isinstance(queue, Kept)
    assert queue.usable.tps == pytest.approx(5000)
    assert queue.matched.instances == 2
    (late,) = slo_match(profile, Terms(Slo(ttft_s=0.15), rule=Rule.AICONFIGURATOR))  # 1.8 x 100 ms
    assert isinstance(late, Dropped)
    (rule,) = slo_match(profile, Terms(Slo(ttft_s=0.2), rule=Rule.AICONFIGURATOR))
    assert isinstance(rule, Kept)
    assert rule.usable.tps == pytest.approx(9000)
    assert rule.matched.requests_per_s == pytest.approx(9 * 0.92)


def test_mean_wait_at_the_load_that_md1_allows_is_the_target() -> None:
    rho = md1_load(0.1, 0.25)
    assert 0.1 * (1 + rho / (2 * (1 - rho))) == pytest.approx(0.25)
    assert md1_load(0.1, 0.1) == 0


def test_moving_kv_adds_to_ttft_with_read_and_bounds_the_rate() -> None:
    profile = profile_of((PrefillPoint(ONE, 10000, 1),), DecodePoint(TWO, 900, 10))
    slow = KvCost(bytes_per_token=1e5, bytes_per_s=1e9, mode=TransferMode.READ)  # 100 ms a prompt over one link
    (row,) = slo_match(profile, Terms(Slo(ttft_s=0.15), kv=slow))
    assert isinstance(row, Dropped)
    assert "with 100 ms of KV transfer" in row.why
    (written,) = slo_match(profile, Terms(Slo(ttft_s=0.15), kv=replace(slow, mode=TransferMode.WRITE)))
    assert isinstance(written, Kept)
    assert written.matched.instances == 1
    narrow = replace(slow, bytes_per_s=2e8, mode=TransferMode.WRITE)  # 2 prompts a second a link
    (bound,) = slo_match(profile, Terms(kv=narrow))
    assert isinstance(bound, Kept)
    assert bound.bound == "the KV link carries 4 req/s"
    assert bound.matched.instances == 2


def test_terms_that_ask_for_nothing_change_nothing() -> None:
    profile = published(GPT_OSS)
    assert not any(each.any for each in changes(profile, slo_match(profile, Terms())))


def test_a_fleet_of_whole_instances_within_nodes() -> None:
    """8 GPUs: with TP2 prefill of 20 req/s and TP2 decode of 10 req/s, 1P2D of 6 GPUs and no more is as good as any
    but 3 decode instances: min(20, 30) = 20. Two nodes of 3 hold one instance each."""
    prefill = (PrefillPoint(TWO, 20000),)
    profile = profile_of(prefill, DecodePoint(TWO, 1000, 10))
    best = fleet_match(profile, (8,), Terms())
    assert best is not None
    assert (best.name, best.requests_per_s, best.idle) == ("1p-tp2-2d-tp2", 20, 2)
    split = fleet_match(profile, (3, 3), Terms())
    assert split is not None
    assert (split.prefill, split.decode, split.idle) == (1, 1, 2)
    assert best_layouts(profile, (2, 1), Terms()) == ()


def test_headroom_needs_more_gpus_of_a_fleet_or_serves_less() -> None:
    profile = published(GPT_OSS)
    plain, spare = (fleet_match(profile, (8, 8), Terms(headroom=Headroom(share))) for share in (0.0, 0.3))
    assert plain is not None and spare is not None
    assert spare.requests_per_s < plain.requests_per_s
