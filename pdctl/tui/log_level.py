"""The level of a log line, as engines, routers and libraries write it. Pure.

Formats: vLLM 0.33 `(EngineCore_0 pid=7) INFO 11-22 16:55:18 [core.py:58] …`; Python's logging `ERROR:name:…` and
`2026-11-22 16:55:18,123 - name - ERROR - …`; uvicorn `INFO:     127.0.0.1 …`; Rust's tracing
`2026-11-22T16:55:18.1Z  INFO module: …` and env_logger `[2026-11-22T16:55:18Z WARN  module] …`; glog
`E1122 16:55:18.123 …`; NCCL/RCCL `host:12:34 [0] NCCL WARN …`; and JSON lines with a `level`.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final


class LogLevel(IntEnum):
    """In the order of urgency."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40
    CRITICAL = 50


_WORDS: Final = {
    "TRACE": LogLevel.DEBUG,
    "DEBUG": LogLevel.DEBUG,
    "INFO": LogLevel.INFO,
    "NOTICE": LogLevel.INFO,
    "WARN": LogLevel.WARNING,
    "WARNING": LogLevel.WARNING,
    "ERR": LogLevel.ERROR,
    "ERROR": LogLevel.ERROR,
    "CRIT": LogLevel.CRITICAL,
    "CRITICAL": LogLevel.CRITICAL,
    "FATAL": LogLevel.CRITICAL,
    "PANIC": LogLevel.CRITICAL,
}
_GLOG: Final = {"I": LogLevel.INFO, "W": LogLevel.WARNING, "E": LogLevel.ERROR, "F": LogLevel.CRITICAL}
_NAMES: Final = "|".join(sorted(_WORDS, key=len, reverse=True))

_PROCESS: Final = re.compile(r"^\([\w.:/= -]{1,60}\)\s*")  # vLLM names the process that prints
_FIRST: Final = re.compile(rf"^\[?({_NAMES})\b[\]:\s]")
_STAMPED: Final = re.compile(rf"^\[?\d{{4}}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d)?\]?[\s\[]+({_NAMES})\b", re.I)
_DASHED: Final = re.compile(rf"^\[?\d{{4}}-\d\d-\d\d[T ][\d:.,]+\]? - [^-]{{1,80}} - ({_NAMES})\b")
_GLOG_LINE: Final = re.compile(r"^([IWEF])\d{4} \d\d:\d\d:\d\d")
_NCCL: Final = re.compile(r"\bR?N?CCL (INFO|WARN|TRACE)\b")
_JSON: Final = re.compile(rf'^\{{.{{0,400}}?"level"\s*:\s*"({_NAMES})"', re.I)
_RAISED: Final = re.compile(r"^(?:Traceback \(most recent call last\)|thread '[^']*' panicked)")


def level(text: str) -> LogLevel | None:
    """The level that a line says; None where it says none, as the further lines of a traceback do."""
    line = _PROCESS.sub("", text.lstrip(), count=1)
    for pattern in (_FIRST, _STAMPED, _DASHED, _JSON):
        found = pattern.match(line)
        if found:
            return _WORDS[found[1].upper()]
    if found := _GLOG_LINE.match(line):
        return _GLOG[found[1]]
    if found := _NCCL.search(line[:200]):
        return _WORDS[found[1]]
    return LogLevel.ERROR if _RAISED.match(line) else None
