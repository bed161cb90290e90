"""The requests of a load as bytes, ready to send. Pure, and the same for the same salt.

To draw and write 8,192 random token ids takes 2 ms: too long beside streams that are being timed. So a deck of random
pieces is written once, and a prompt is a few pieces of its own and then a cut of the deck. Servers reuse KV by prefix,
in blocks that are named by all that comes before them: no two prompts share more than chance allows, unless they are
asked to.
"""

from __future__ import annotations

import json
import random
from array import array
from itertools import accumulate

from pdctl.bench.drivers.endpoint import Endpoint
from pdctl.bench.point import Target
from pdctl.bench.prompts import FIRST_TOKEN_ID, WORDS
from pdctl.errors import BenchError
from pdctl.model.load import Api, PromptKind
from pdctl.perf.workload import Asked

_DECK = 1 << 17  # pieces beyond the longest prompt, where a cut may begin
_OWN = 16  # pieces of its own: a block of vLLM's cache


class Deck:
    """Random pieces (token ids or words) and cuts of them."""

    def __init__(self, kind: PromptKind, vocab: int, salt: str, longest: int) -> None:
        if kind is PromptKind.WORDS:
            self._pieces, self._between = [word.encode() for word in WORDS], b" "
        else:
            self._pieces = [b"%d" % token for token in range(min(FIRST_TOKEN_ID, vocab - 1), vocab)]
            self._between = b","
        self._salt = salt
        drawn = random.Random(f"{salt}/deck").choices(self._pieces, k=_DECK + longest)
        self._text = self._between.join(drawn)
        self._starts = array("L", accumulate((len(piece) + 1 for piece in drawn), initial=0))

    def stretch(self, name: str, length: int) -> bytes:
        """Exactly `length` pieces; always the same for one `name`."""
        dice = random.Random(f"{self._salt}/{name}")
        own = self._between.join(dice.choices(self._pieces, k=min(_OWN, length)))
        if length <= _OWN:
            return own
        first = dice.randrange(_DECK)
        rest = self._text[self._starts[first] : self._starts[first + length - _OWN] - 1]
        return own + self._between + rest

    def prompt(self, index: int, asked: Asked) -> bytes:
        """`asked.isl` pieces, of which the first `prefix_len` are those of its `prefix_id`."""
        shared = asked.prefix_len if asked.prefix_id is not None else 0
        stretches = [self.stretch(f"prefix/{asked.prefix_id}", shared)] if shared else []
        if asked.isl > shared:
            stretches.append(self.stretch(str(index), asked.isl - shared))
        return self._between.join(stretches)


class Questions:
    """Whole HTTP requests, output length forced by `ignore_eos` and equal bounds. Raises BenchError for chat of token
    ids: its messages are text."""

    def __init__(self, target: Target, endpoint: Endpoint, *, salt: str, longest: int) -> None:
        if target.api is Api.CHAT and target.prompt is PromptKind.TOKENS:
            raise BenchError("chat messages are text, and no token ids", hint="use prompts of words")
        self._deck = Deck(target.prompt, target.vocab, salt, longest)
        self._fixed = {
            "model": target.model,
            "ignore_eos": True,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        self._around = {
            (Api.COMPLETIONS, PromptKind.TOKENS): (b',"prompt":[', b"]}"),
            (Api.COMPLETIONS, PromptKind.WORDS): (b',"prompt":"', b'"}'),
            (Api.CHAT, PromptKind.WORDS): (b',"messages":[{"role":"user","content":"', b'"}]}'),
        }[target.api, target.prompt]
        key = f"Authorization: Bearer {target.api_key}\r\n" if target.api_key else ""
        if "\r" in key[:-2] or "\n" in key[:-2]:
            raise BenchError("the API key has a line end in it", hint="was it read with the end of its line?")
        self._head = (
            f"POST {endpoint.base}{target.api.path} HTTP/1.1\r\nHost: {endpoint.host_header}\r\n{key}"
            "Content-Type: application/json\r\nAccept: text/event-stream\r\nAccept-Encoding: identity\r\n"
            "User-Agent: pdctl-bench\r\nContent-Length: "
        ).encode()

    def request(self, index: int, asked: Asked) -> bytes:
        """Request `index` of the point."""
        fixed = json.dumps(self._fixed | {"max_tokens": asked.osl, "min_tokens": asked.osl})
        before, after = self._around
        body = b"".join((fixed[:-1].encode(), before, self._deck.prompt(index, asked), after))
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)
