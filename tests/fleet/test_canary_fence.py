"""`watch --canary --fence` on the simulated fleet: the end of a broken pair leaves service, and can be brought back."""

from __future__ import annotations

import signal

import pytest

from tests.fleet.command import Json
from tests.fleet.site import Site, of, status
from tests.fleet.test_canary import endpoints, fault_of_pair

pytestmark = [pytest.mark.fleet, pytest.mark.slow]

ROUND_S = 150.0
"""An idle cluster is sent a canary every five seconds: both rounds of six pairs, and a minute for slow machines."""


@pytest.mark.timeout(400)
async def test_the_end_of_a_broken_pair_leaves_service_is_named_and_can_be_brought_back(serving: Site) -> None:
    """Decode has three instances and prefill two, so of a single broken pair decode can spare its end better."""
    at = await endpoints(serving)
    async with serving.operator.starts("--json", "watch", "--canary", "--fence") as watch:
        with fault_of_pair("broken_pair", at["n4"], at["n2"]):
            gone = await watch.until(lambda line: "fenced:n4.main.0" in alerts(line), "an end was fenced", ROUND_S)
        assert "n2.main.0 -> n4.main.0 (decode answered 500" in alerts(gone)["fenced:n4.main.0"]["cause"]
        assert of(await status(serving.operator), "n4.main.0")["state"] == "quarantined"
        assert [alert for alert in alerts(gone) if alert.startswith(("fenced", "unfenced"))] == ["fenced:n4.main.0"]
        watch.send(signal.SIGUSR1)
        await watch.until(lambda line: any("paused" in note for note in line["notes"]), "canaries are paused")
        (await serving.operator.pdctl("undrain", "n4.main", "--json")).expect(0)
        await watch.until(lambda line: not any("fenced" in alert for alert in alerts(line)), "it is back")
        watch.send(signal.SIGINT)
        (await watch.end()).expect(0)


def alerts(line: Json) -> dict[str, Json]:
    return {alert["id"]: alert for alert in line["alerts"]}
