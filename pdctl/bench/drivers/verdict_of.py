"""Which outcome it is that another project's tool reports of a request. Pure.

The tools take any answer that came over a status 200 for a success. The output length is forced (`ignore_eos`), so one
with fewer tokens than were asked for is not whole: aborted, cut, or ended by an error in the stream.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from pdctl.model.outcome import Outcome

_NO_CONNECTION = re.compile(
    r"ClientConnector|Cannot connect to host|ConnectionRefused|ConnectError|ConnectTimeout|connection attempts failed"
)
_BROKEN = re.compile(
    r"Disconnected|PayloadError|ConnectionReset|IncompleteRead|RemoteProtocolError|ReadError|Timeout"
    r"|Never received a valid chunk"
)
_REFUSED = re.compile(r"\b(429|503)\b|Too Many Requests|Service Unavailable")
_MAX_CHARS = 300


def judged(error: str, tokens: int, osl: int, *, status: int | None = None) -> tuple[Outcome, str, str]:
    """The outcome, with what was wrong as a refusal or as another error. `error` is the tool's text, "" for none."""
    error = error if len(error) <= _MAX_CHARS else error[: _MAX_CHARS - 1] + "…"
    refused = status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
    if refused or _REFUSED.search(error) or _NO_CONNECTION.search(error):
        return Outcome.REFUSED, error or f"HTTP {status}", ""
    if error:
        return (Outcome.CUT if _BROKEN.search(error) else Outcome.ERROR), "", error
    if tokens == 0:
        return Outcome.CUT, "", "no token and no reason given"
    if tokens < osl:
        return Outcome.CUT, "", f"{tokens} of {osl} tokens"
    return Outcome.OK, "", ""
