"""Alerts are delivered one after the other; a receiver that fails or hangs is given up, and delays only its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from pdctl.control.alert_delivery import AlertDelivery
from pdctl.model.snapshot import Alert, AlertLevel
from pdctl.telemetry.alerts import Change


def change(name: str = "down:n1", cause: str = "it died") -> Change:
    return Change(Alert(name, AlertLevel.PAGE, "n1", cause, "`pdctl up`", 1.0), raised=True)


@asynccontextmanager
async def delivering(target: str, deadline_s: float = 5.0) -> AsyncIterator[tuple[AlertDelivery, list[str]]]:
    failures: list[str] = []
    delivery = AlertDelivery(target, "demo", failures.append, deadline_s)
    task = asyncio.create_task(delivery.run())
    try:
        yield delivery, failures
        assert not task.done(), "it goes on whatever the receiver does"
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_command_gets_the_alert_on_stdin_and_its_words_in_the_environment(tmp_path: Path) -> None:
    async with delivering(f'cat > {tmp_path}/"$PDCTL_ALERT_STATE"') as (delivery, failures):
        delivery.take(change())
        await delivery.settle(5.0)
    told = json.loads((tmp_path / "raised").read_text())
    assert (told["id"], told["cluster"], told["cause"]) == ("down:n1", "demo", "it died")
    assert failures == []


async def test_a_command_that_hangs_with_its_children_is_ended_and_the_next_alert_is_delivered(tmp_path: Path) -> None:
    """The child holds stderr open: killing the shell alone would wait for it."""
    hang = f'if [ "$PDCTL_ALERT_ID" = a ]; then sleep 600; true; else touch {tmp_path}/told; fi'
    async with delivering(hang, deadline_s=0.3) as (delivery, failures):
        delivery.take(change("a"))
        delivery.take(change("b"))
        await delivery.settle(5.0)
    assert (tmp_path / "told").exists()
    assert failures == ["the alert a was not delivered: no end in 0.3 s"]


@pytest.mark.parametrize("target", ["http://[nowhere", "http://127.0.0.1:9/", "exit 3"])
async def test_what_cannot_be_delivered_is_said_and_the_rest_goes_on(target: str) -> None:
    async with delivering(target) as (delivery, failures):
        delivery.take(change("a", "a\0b"))
        delivery.take(change("b"))
        await delivery.settle(5.0)
    assert [line.split(" was ")[0] for line in failures] == ["the alert a", "the alert b"]
