"""The SSE parser: whatever way the network cuts the bytes, the events are the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pdctl.bench.sse import SseDecoder

EOL = st.sampled_from(["\n", "\r\n", "\r"])
# Any text on a line of its own: no line ends, and no lone surrogates, which UTF-8 cannot carry.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=30)


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """`data` in pieces, empty ones among them."""
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[start:stop] for start, stop in zip([0, *places], [*places, len(data)], strict=True)]


def decode(pieces: list[bytes]) -> list[str]:
    decoder = SseDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


@given(st.data(), st.lists(st.lists(TEXT, min_size=1, max_size=3), max_size=5), EOL, st.booleans())
def test_events_survive_any_split(data: st.DataObject, events: list[list[str]], eol: str, bom: bool) -> None:
    stream = "\ufeff" if bom else ""
    for lines in events:
        noise = data.draw(st.sampled_from(["", f": ping{eol}", f"id: 1{eol}", f"event: x{eol}retry: 3{eol}"]))
        stream += noise + "".join(f"data: {line}{eol}" for line in lines) + eol
    pieces = data.draw(cuts(stream.encode()))
    assert decode(pieces) == ["\n".join(lines) for lines in events]


@given(st.data(), st.binary(max_size=200))
def test_any_bytes_in_any_split_yield_the_same(data: st.DataObject, stream: bytes) -> None:
    assert decode(data.draw(cuts(stream))) == decode([stream])


def test_crlf_cut_between_its_halves_is_one_line_end() -> None:
    assert decode([b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n"]) == ["a\nb"]


def test_event_is_out_with_its_last_byte() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: a\n") == []
    assert decoder.feed(b"\n") == ["a"]


def test_event_that_the_end_cut_off_is_dropped() -> None:
    assert decode([b"data: a\n\ndata: half\n"]) == ["a"]


def test_data_keeps_all_but_one_leading_space() -> None:
    assert decode([b"data:  a \n\ndata:b\n\ndata\n\n"]) == [" a ", "b", ""]
