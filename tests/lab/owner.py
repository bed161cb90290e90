"""A program: holds a lab of one host of each kind until it is killed, or told to end through its stdin."""

from __future__ import annotations

import asyncio
import json
import sys

from tests.lab.cheap import Cheap
from tests.lab.lab import Lab
from tests.lab.nspawn import Systemd


async def main() -> None:
    docker = Systemd(docker=True)
    async with Lab(1, docker) as lab:
        await lab.add(1, Cheap())
        await lab.hosts["h1"].run("systemd-run", "--quiet", "--unit=left", "setsid", "sleep", "600")
        await lab.hosts["h2"].delay(0.001)
        print(json.dumps({"keeper": lab.keeper, "cgroup": lab.cgroup, "directory": str(lab.directory)}))
        sys.stdout.flush()
        if await asyncio.to_thread(sys.stdin.read) == "fail":
            raise RuntimeError("a test fails inside its lab")


if __name__ == "__main__":
    asyncio.run(main())
