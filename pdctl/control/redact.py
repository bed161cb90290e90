"""Takes secrets out of text before it is handed to somebody: known values, and what looks like one. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

_LOOKS: Final = (
    re.compile(r"\bhf_[A-Za-z0-9]{16,}"),  # Hugging Face
    re.compile(r"\bgh[pousr]_[A-Za-z0-9]{20,}"),  # GitHub
    re.compile(r"\bAKIA[0-9A-Z]{12,}"),  # AWS
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),  # JSON web tokens
    re.compile(r"(?<=[Bb]earer )[A-Za-z0-9._~+/-]{8,}=*"),
    re.compile(r"(?<=[Bb]asic )[A-Za-z0-9+/]{8,}=*"),
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),  # user:password in an address
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
)
_NAME: Final = r"[\w-]*(?:password|passwd|secret|token|api[_-]?key|credential)s?"
_NAMED: Final = re.compile(rf"(?i)([\"']?{_NAME}[\"']?\s*[=:]\s*[\[(]*)(\"[^\"\n]+\"|'[^'\n]+'|[^\s,;&}}\]\"']+)")
_FLAG: Final = re.compile(
    rf"(?i)([\"']?--{_NAME}[\"']?[,\s]+)(\"[^\"\n]+\"|'[^'\n]+'|[^\s,;&}}\]\"'-][^\s,;&}}\]\"']*)"
)
"""A flag and its value apart from it: in a command line, or neighbours in a list of arguments."""
_HARMLESS: Final = re.compile(
    r"(?i)[\"']?(?:none|null|true|false|\d{1,15}(?:\.\d+)?|\[?redacted.*|\{.*|env|file|command)[\"']?"
)
SHORTEST: Final = 4
"""A known value that is shorter is left alone: it would be found in half of all words."""


@dataclass(slots=True)
class Redactor:
    """Feed it text; `hidden` counts what was taken out, by name. `known`: values of the inventory's secrets."""

    known: Mapping[str, str] = field(repr=False)
    hidden: dict[str, int] = field(default_factory=dict)

    def clean(self, text: str) -> str:
        """The text without secrets. Numbers and words such as `none` behind a telling name stay."""
        for name, value in self.known.items():
            for form in _forms(value):
                if form in text:
                    self._count(name, text.count(form))
                    text = text.replace(form, f"[redacted {name}]")
        for look in _LOOKS:
            text, count = look.subn("[redacted]", text)
            if count:
                self._count("looks like a secret", count)
        return _FLAG.sub(self._named, _NAMED.sub(self._named, text))

    def _named(self, match: re.Match[str]) -> str:
        if _HARMLESS.fullmatch(match[2]):
            return match[0]
        self._count("named like a secret", 1)
        return f"{match[1]}[redacted]"

    def _count(self, name: str, count: int) -> None:
        self.hidden[name] = self.hidden.get(name, 0) + count


def _forms(value: str) -> list[str]:
    """How a value may be written: as it is, within JSON, in an address, and each line of a long one by itself."""
    forms = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], quote(value, safe="")}
    forms.update(line.strip() for line in value.splitlines() if len(line.strip()) >= 2 * SHORTEST)
    return sorted((form for form in forms if len(form) >= SHORTEST), key=len, reverse=True)
