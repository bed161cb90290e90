"""A click type for lengths in tokens: `4096`, or `4k` as in the names of scenarios."""

from __future__ import annotations

import re

import click

_LENGTH = re.compile(r"(\d{1,9})(k?)", re.IGNORECASE)


class TokensType(click.ParamType[int]):
    """A whole number of tokens from 1 on."""

    name = "tokens"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = _LENGTH.fullmatch(str(value).strip())
        if found is None or not int(found[1]):
            self.fail(f"{value!r} is no length: write 4096 or 4k", param, ctx)
        return int(found[1]) * (1024 if found[2] else 1)


TOKENS = TokensType()
