"""`ip address` of a simulated node: loopback, and one interface that carries the node's data address."""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def address(argv: list[str]) -> tuple[str, int]:
    """`ip [-j] [-4] address [show …]`; what else `ip` can do, a simulated node cannot."""
    words = [word for word in argv if not word.startswith("-")]
    if not words or not "address".startswith(words[0]):
        return f'Object "{words[0] if words else ""}" is unknown, try "ip help".\n', 1
    links = [_link(1, "lo", "127.0.0.1", "host"), _link(2, "eth0", os.environ["PDCTL_SIM_DATA_ADDRESS"], "global")]
    if "scope" in words:
        scope = words[words.index("scope") + 1]
        links = [link for link in links if link["addr_info"][0]["scope"] == scope]
    if any(word.startswith("-") and "j" in word for word in argv):
        return json.dumps(links) + "\n", 0
    lines = [f"{link['ifindex']}: {link['ifname']}    inet {link['addr_info'][0]['local']}/24\n" for link in links]
    return "".join(lines), 0


def _link(index: int, name: str, local: str, scope: str) -> dict[str, Any]:
    info = [{"family": "inet", "local": local, "prefixlen": 24, "scope": scope, "label": name}]
    return {"ifindex": index, "ifname": name, "mtu": 1500, "operstate": "UP", "addr_info": info}


def main() -> None:
    text, status = address(sys.argv[1:])
    sys.stdout.write(text)
    sys.exit(status)
