"""Durations on the command line, written as in an inventory: 50ms, 30s, 2h."""

from __future__ import annotations

import click

from pdctl.inventory.scalars import check_duration


class DurationType(click.ParamType[float]):
    """Seconds, from `30s`, `2h` or a number of seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, str) and value.replace(".", "", 1).isdigit():
            value = float(value)
        try:
            return check_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION = DurationType()
