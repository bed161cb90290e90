"""The text that a simulated engine generates: a pure function of the prompt.

The same prompt gives the same text from any engine, alone or through a prefill/decode pair. In a pair the decode
engine writes from the digest that travels with the KV, so a pair that mixes requests up, or corrupts KV, shows it.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from hashlib import blake2b

_MASK = (1 << 64) - 1
_ONSETS = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "st", "tr")
_RIMES = ("a", "ale", "an", "ar", "e", "el", "en", "er", "i", "il", "in", "o", "ol", "on", "or", "u")
WORDS: tuple[str, ...] = tuple(f" {onset}{rime}" for onset in _ONSETS for rime in _RIMES)
"""256 tokens, each with its leading blank."""

LETTERS_PER_TOKEN = 8
_NATURAL_MIN, _NATURAL_SPREAD = 256, 1024


@dataclass(frozen=True, slots=True)
class Prompt:
    """A tokenised prompt: how long it is, and the digest of what it says."""

    tokens: int
    digest: int


def read_text(text: str) -> Prompt:
    """A text prompt. A word counts one token for every 8 letters begun; a prompt has at least one token."""
    words = text.split()
    tokens = len(words) + sum((len(word) - 1) // LETTERS_PER_TOKEN for word in words)
    return Prompt(max(1, tokens), _digest(text.encode(errors="surrogatepass")))


def read_ids(ids: list[int]) -> Prompt:
    """A prompt of token ids."""
    return Prompt(max(1, len(ids)), _digest(array("q", ids).tobytes()))


def _digest(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


def _mix(seed: int, index: int) -> int:
    """A splitmix64 step: cheap, and every index is independent of the others."""
    z = (seed + (index + 1) * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    return z ^ (z >> 31)


def word(digest: int, index: int) -> str:
    """Token `index` of the answer to a prompt with this digest."""
    return WORDS[_mix(digest, index) & 255]


@dataclass(slots=True)
class Answer:
    """What one request will be told: `length` tokens, then `finish` ("length" or "stop").

    `cut` is the number of characters kept when a stop string ends the text. `digest` may be replaced when KV lands.
    """

    digest: int
    length: int
    finish: str
    stop_reason: str | None = None
    cut: int | None = None

    def pieces(self, start: int, end: int) -> list[str]:
        """The text of tokens [start, end), a list of one string per token."""
        digest = self.digest
        if self.cut is None:
            return [word(digest, index) for index in range(start, end)]
        offset = sum(len(word(digest, index)) for index in range(start))
        texts = []
        for index in range(start, end):
            text = word(digest, index)
            texts.append(text[: max(0, self.cut - offset)])
            offset += len(text)
        return texts


def plan_answer(
    prompt: Prompt, *, max_tokens: int, min_tokens: int = 0, ignore_eos: bool = False, stop: tuple[str, ...] = ()
) -> Answer:
    """How long the answer is and why it ends: end-of-text (256..1279 tokens), a stop string, or `max_tokens`."""
    natural = max(min_tokens, _NATURAL_MIN + prompt.digest % _NATURAL_SPREAD)
    length = max_tokens if ignore_eos else min(max_tokens, natural)
    finish = "stop" if not ignore_eos and natural < max_tokens else "length"
    answer = Answer(prompt.digest, length, finish)
    return _apply_stop(answer, min_tokens, stop) if stop else answer


def _apply_stop(answer: Answer, min_tokens: int, stop: tuple[str, ...]) -> Answer:
    """Shorten the answer to its first stop string past `min_tokens`; the stop string itself is not returned."""
    texts = answer.pieces(0, answer.length)
    protected = sum(len(text) for text in texts[:min_tokens])
    whole = "".join(texts)
    found = [(position, text) for text in stop if (position := whole.find(text, protected)) >= 0]
    if not found:
        return answer
    position, text = min(found)
    offset = 0
    for index, piece in enumerate(texts):
        offset += len(piece)
        if offset >= position + len(text):
            return Answer(answer.digest, index + 1, "stop", text, position)
    return answer
