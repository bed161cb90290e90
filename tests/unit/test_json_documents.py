"""What is got out of a tool's stdout that is JSON with something around it, or not quite JSON."""

from __future__ import annotations

import time

import pytest

from pdctl.health.parse.json_documents import documents, records
from tests import tool_outputs


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", ()),
        ("[]", ([],)),
        ("WARNING: User is missing the following required groups: render\n[{}]\n", ([{}],)),
        ('[{"a": 1}]\n[{"a": 2}]\n\nLegend:\n  * = Current mode\n', ([{"a": 1}], [{"a": 2}])),
        ('[INFO] warming [up\n{"a": [1, 2,],}', ({"a": [1, 2]},)),
        ('{"a": "}]{["}', ({"a": "}]{["},)),
        ('{"a": "tab\tin it"}', ({"a": "tab\tin it"},)),
        ('{"a": NaN}', ({"a": "NaN"},)),
        ("42", ()),
    ],
)
def test_documents_are_found_wherever_they_stand(text: str, values: tuple[object, ...]) -> None:
    found = documents(text)
    assert found.values == values
    assert not found.damaged


@pytest.mark.parametrize(
    "text", ['[{"a": 1}, {"a"', '{"a": 1', '[{"a": 1]', '[{"a": 1 WARNING: banner }]', "[" * 100_000, '{"a":' * 1_000]
)
def test_what_is_cut_off_or_spliced_is_damaged_and_no_document(text: str) -> None:
    found = documents(text)
    assert found.values == ()
    assert found.damaged
    assert "damaged" in found.why_empty


def test_nothing_that_a_tool_can_print_takes_long() -> None:
    started = time.process_time()
    for piece in ('["', "[1", '{"a":[1,2,', "[[[]", '{"a":1}'):
        documents(piece * 50_000)
    assert time.process_time() - started < 3


def test_an_output_without_json_says_what_it_printed_instead() -> None:
    found = documents("\nWARNING: No JSON data to report\n")
    assert found.values == ()
    assert "No JSON data to report" in found.why_empty
    assert documents("").why_empty == "it printed nothing"


@pytest.mark.parametrize(
    "text", ['[{"gpu": 0}, {"gpu": 1}]', '{"gpu_data": [{"gpu": 0}, {"gpu": 1}]}', '{"gpu": 0}{"gpu": 1}']
)
def test_records_are_the_same_in_every_wrapping(text: str) -> None:
    rows, _ = records(text, "gpu_data")
    assert [row["gpu"] for row in rows] == [0, 1]


def test_a_wrapper_that_holds_no_list_holds_no_records() -> None:
    assert records('{"gpu_data": "N/A"}', "gpu_data")[0] == ()


def test_the_outputs_of_real_tools_around_their_json() -> None:
    assert [row["gpu"] for row in records(tool_outputs.read("amd-smi/firmware-with-banner.txt"))[0]] == [1, 0]
    partitions = documents(tool_outputs.read("amd-smi/ns-multi-json-with-legend.txt"))
    assert partitions.values == ([{"data": 1}], [{"data": 2}], [{"data": 3}])
    assert "Legend:" in partitions.other
