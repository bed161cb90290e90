"""Part of the registrar: its log, which is what changed from one state file to the next; a steady state says nothing.

A member or router that flaps is folded: the same line is said once in a minute, with how often it was true meanwhile.
"""

import time
from typing import Dict, List, Tuple

from pdctl.routers.registrar_wire_on_node import Json

FOLD_S = 60.0


def news(before: Json, after: Json) -> List[str]:
    """What to tell about `after`, a state document, to who knows `before` (an empty one at the start)."""
    lines: List[str] = []
    place = "epoch {epoch}, seq {seq}"
    if not before or place.format(**before) != place.format(**after):
        lines.append("members file: {}, {} members".format(place.format(**after), len(after["members"])))
    if not before or before["router"]["reachable"] != after["router"]["reachable"]:
        router = after["router"]
        lines.append("the router answers" if router["reachable"] else "the router does not answer: " + router["why"])
    was = {(member["name"], member["generation"]): member for member in before.get("members", [])}
    now = {(member["name"], member["generation"]): member for member in after["members"]}
    lines += ["removed {}, generation {}".format(*key) for key in was if key not in now]
    for key, member in now.items():
        known = was.get(key)
        who = "{}, generation {}".format(*key)
        if member["registered"] and not (known and known["registered"]):
            lines.append("registered {}".format(who))
        elif not member["registered"] and (known is None or known["registered"] or _gate(known) != _gate(member)):
            lines.append("not registered {}: {}".format(who, member["why"]))
    lines += ["alert: " + alert for alert in after["alerts"] if alert not in before.get("alerts", [])]
    lines += ["over: " + alert for alert in before.get("alerts", []) if alert not in after["alerts"]]
    return lines


def _gate(member: Json) -> bool:
    return str(member["why"]).startswith("withheld")


class Log:
    """Says each line at most once in FOLD_S. Times are monotonic."""

    def __init__(self) -> None:
        self._known: Json = {}
        self._said: Dict[str, Tuple[float, int]] = {}  # line -> when it was last said, how often it was folded since

    def tell(self, state: Json, now: float) -> None:
        """Print what is new in `state`."""
        for line in self.lines(state, now):
            print(time.strftime("%Y-%m-%dT%H:%M:%SZ ", time.gmtime()) + line, flush=True)

    def lines(self, state: Json, now: float) -> List[str]:
        """The same, as lines."""
        fresh, self._known = news(self._known, state), state
        self._said = {line: told for line, told in self._said.items() if now - told[0] < 10 * FOLD_S}
        shown: List[str] = []
        for line in fresh:
            at, folded = self._said.get(line, (now - FOLD_S, 0))
            if now - at < FOLD_S:
                self._said[line] = (at, folded + 1)
                continue
            shown.append("{} (and {} times since it was last said)".format(line, folded) if folded else line)
            self._said[line] = (now, 0)
        return shown
