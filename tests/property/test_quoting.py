"""Quoting, proven by a real /bin/sh: what goes in as arguments comes out as the same arguments."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdctl.errors import UsageError
from pdctl.ssh import wrap
from pdctl.ssh.quoting import quote
from pdctl.ssh.text import last_line, printable

_AWKWARD = [
    "", " ", "\n", "a\nb\n", "'", '"', "''", "\\", "\\'", "$(touch x)", "`id`", "$HOME", "${IFS}", "!!", "~", "~root",
    "*", "[a-z]", "{a,b}", ">x", "|", "&", ";", "#no", "-n", "-oProxyCommand=x", "--", "A=b", "=ls", "%s", "\t\r\x7f",
    "\x1b[31m", "if", "ü€🙂", "\ufeff", "\u2028",
]  # fmt: skip

_ARGUMENT = st.one_of(
    st.sampled_from(_AWKWARD),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
    st.text("'\"\\$`\n -ax", max_size=12),
)
_ARGVS = st.lists(st.lists(_ARGUMENT, max_size=6), min_size=1, max_size=40)


def _through_sh(script: str) -> bytes:
    return subprocess.run(["/bin/sh"], input=script.encode(), stdout=subprocess.PIPE, check=True).stdout


@settings(deadline=None, max_examples=40)
@given(_ARGVS)
def test_a_shell_gives_back_what_was_quoted(argvs: list[list[str]]) -> None:
    """Many argument vectors per shell: each is printed NUL-separated, after its length."""
    script = "".join(quote(["printf", "%s\\0", str(len(argv)), *argv]) + "\n" for argv in argvs)
    expected = b"".join(argument.encode() + b"\0" for argv in argvs for argument in [str(len(argv)), *argv])
    assert _through_sh(script) == expected


@pytest.mark.parametrize("argument", _AWKWARD)
def test_every_awkward_argument(argument: str) -> None:
    assert _through_sh(quote(["printf", "%s", argument])) == argument.encode()


@settings(deadline=None, max_examples=15)
@given(st.lists(_ARGUMENT, max_size=5))
def test_the_wrappers_keep_the_arguments(argv: list[str]) -> None:
    """The same through the wrapper of short commands, which quotes inside a longer line."""
    wrapped = wrap.short(["printf", "%s\\0", "x", *argv], deadline_s=5, nonce="n")
    done = subprocess.run(["/bin/sh", "-c", wrapped.command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    frame = wrap.Deframer(wrapped.marker, 1 << 20)
    frame.feed(done.stdout)
    assert bytes(frame.body) == b"".join(argument.encode() + b"\0" for argument in ["x", *argv])


@pytest.mark.parametrize("word", ["if", "A=b", "ls -l", "alias", "~", ""])
def test_the_command_word_is_only_ever_a_command(word: str) -> None:
    done = subprocess.run(["/bin/sh", "-c", quote([word, "x"])], capture_output=True)
    assert word == "alias" or done.returncode in (126, 127)


@pytest.mark.parametrize("argv", [[], ["a", "b\0c"], ["a", "\udcff"], ["\ud800"]])
def test_what_no_command_line_can_carry_is_refused(argv: list[str]) -> None:
    with pytest.raises(UsageError):
        quote(argv)


def test_a_command_line_longer_than_a_node_takes_is_refused() -> None:
    with pytest.raises(UsageError, match="longer than a node takes"):
        wrap.short(["echo", "x" * wrap.MAX_COMMAND_BYTES], deadline_s=1, nonce="n")


@given(st.binary(max_size=300), st.binary(max_size=300), st.lists(st.integers(1, 50), max_size=10), st.integers(0, 200))
def test_a_frame_is_found_however_it_arrives(noise: bytes, body: bytes, cuts: list[int], cap: int) -> None:
    marker = b"pdctl-0123456789abcdef\n"
    whole = noise + marker + body
    frame = wrap.Deframer(marker, cap)
    at = 0
    for size in [*cuts, len(whole)]:
        frame.feed(whole[at : at + size])
        at += size
    assert frame.started
    assert bytes(frame.noise) == noise
    assert bytes(frame.body) == body[:cap]
    assert frame.truncated == (len(body) > cap)


@given(st.binary(max_size=500))
def test_nothing_printable_can_drive_a_terminal(raw: bytes) -> None:
    shown = printable(raw)
    assert all(character in "\n\t" or character.isprintable() or character.isspace() for character in shown)
    assert not any((ord(c) < 0x20 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0 for c in shown)
    assert "\n" not in last_line(raw)


@given(st.text(st.sampled_from("\x1b[]0;31mHJ\x07\\\x9b\x9d?25hl\nab\r\u202e\u2066"), max_size=60))
def test_terminal_sequences_in_any_order(text: str) -> None:
    shown = printable(text)
    assert not set(shown) & set("\x1b\x07\x9b\x9d\r\u202e\u2066")
    assert printable(shown) == shown


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=80))
def test_plain_text_is_left_alone(text: str) -> None:
    assert printable(text) == text
