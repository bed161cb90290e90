"""A poison secret in the engines' environment: everything that pdctl and its nodes show is searched for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from tests.lab.controller import Said
from tests.lab.host import LabHost
from tests.lab.inventory_for import Wanted
from tests.lab.lab import Lab
from tests.lab.nspawn import Systemd
from tests.lab.operators import ROOT, Operator, operator_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

POISON = "hf-p01s0n-c4n4ry"
PATTERN = "hf-p01s0n-[c]4n4ry"  # finds the poison, and not the command that looks for it
NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--")
READS = (("-v", "status"), ("-v", "plan"), ("render",), ("events", "-n", "1000"), ("logs", "-n", "1000"))

_TOLD = "/run/enough"
_LOOK_UNTIL_TOLD = f"""
until [ -e {_TOLD} ]; do
  cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -q '{PATTERN}' && echo seen
  sleep 0.1
done
"""
_AS_NOBODY = {
    "systemctl show": "systemctl show '*'",
    "systemctl status": "systemctl status '*' 2>/dev/null",
    "unit files": "cat /run/systemd/transient/* 2>/dev/null",
    "environments": "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' ' '",
}
_AS_ROOT = {
    "journal": "journalctl -q -o export",  # sudo logs command lines there
    "state": f"find {ROOT} -type f -not -name env -exec cat {{}} +",
    "temporary files": "find /tmp /var/tmp /home -type f -exec cat {} +",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab(2, Systemd()) as made:
        yield made


def with_secret(lab: Lab, directory: Path, source: str) -> Operator:
    wanted = Wanted(supervisor="systemd", sections=f"secrets: {{HF_TOKEN: {{{source}}}}}\n")
    return operator_of(lab, directory, wanted, TOKEN=POISON)


async def places(host: LabHost) -> set[str]:
    """Where on a host the poison is to be found now."""
    found = set()
    for place, command in {**_AS_NOBODY, **_AS_ROOT}.items():
        become = NOBODY if place in _AS_NOBODY else ()
        script = f"cd /; {{ {command}; }} | grep -aq '{PATTERN}' && echo seen || true"
        if await host.run(*become, "/bin/sh", "-c", script):
            found.add(f"{host.name}: {place}")
    return found


@contextlib.asynccontextmanager
async def command_lines_watched(lab: Lab) -> AsyncIterator[set[str]]:
    """Looks at every process here and on the hosts, again and again; the set gets who showed the poison."""
    seen: set[str] = set()

    async def here() -> None:
        while True:
            words = [word for process in psutil.process_iter(["cmdline"]) for word in process.info["cmdline"] or []]
            seen.update("here: command line" for word in words if POISON in word)
            await asyncio.sleep(0.2)

    async def there(host: LabHost) -> None:
        if await host.run("/bin/sh", "-c", _LOOK_UNTIL_TOLD, deadline_s=250):
            seen.add(f"{host.name}: command line")

    local = asyncio.create_task(here())
    async with asyncio.TaskGroup() as remote:
        for host in lab.hosts.values():
            await host.run("rm", "-f", _TOLD)
            remote.create_task(there(host))
        try:
            yield seen
        finally:
            local.cancel()
            for host in lab.hosts.values():
                await host.run("touch", _TOLD)


def shown(said: Said) -> bool:
    return POISON in said.stdout + said.stderr


def files_here(directory: Path) -> list[Path]:
    """What the operator's machine keeps with the poison in it: state, and the outputs of commands."""
    return [path for path in directory.rglob("*") if path.is_file() and POISON.encode() in path.read_bytes()]


async def engine_has_it(host: LabHost, operator: Operator, name: str) -> bool:
    pid = (await operator.status())[name]["pid"]
    return f"HF_TOKEN={POISON}" in (await host.run("cat", f"/proc/{pid}/environ")).split("\0")


async def test_a_secret_is_in_the_engines_environment_and_nowhere_else(lab: Lab, tmp_path: Path) -> None:
    operator = with_secret(lab, tmp_path, "env: TOKEN")
    h1, h2 = lab.hosts.values()
    async with command_lines_watched(lab) as seen:
        up = await operator.succeeds("-v", "up")
        assert await engine_has_it(h1, operator, "h1.main.0") and await engine_has_it(h2, operator, "h2.main.0")
        said = [up, *[await operator.pdctl(*words) for words in READS]]
        assert (await places(h1)) | (await places(h2)) == set()
        await h2.run("systemctl", "kill", "--signal=KILL", "pdctl.lab.h2.main.0")
        said += [await operator.succeeds("-v", "up"), await operator.succeeds("-v", "restart", "--force", "h1.main.0")]
        said.append(await operator.succeeds("-v", "down"))
        assert (await places(h1)) | (await places(h2)) == set()
    assert seen == set()
    assert [one.stdout[:200] for one in said if shown(one)] == []
    assert files_here(tmp_path) == []
    left = await h1.run("/bin/sh", "-c", f"grep -rlas '{PATTERN}' {ROOT} /run /etc /tmp /home || true")
    assert left == "", "nothing is left of it, not even for root"


async def test_a_traceback_shows_no_secret(lab: Lab, tmp_path: Path) -> None:
    operator = with_secret(lab, tmp_path, "command: 'echo $TOKEN; exit 3'")
    failed = await operator.pdctl("-v", "up")
    assert failed.status == 1
    assert "Traceback" in failed.stderr and "HF_TOKEN" in failed.stderr
    assert not shown(failed)


async def test_the_search_finds_a_secret_that_leaks(lab: Lab, tmp_path: Path) -> None:
    """In every place that is searched."""
    operator = with_secret(lab, tmp_path, "env: TOKEN")
    host = lab.hosts["h1"]
    leak = f"echo {POISON} | tee {ROOT}/leak /tmp/leak; exec sleep 600"
    await host.run("mkdir", "-p", ROOT)
    async with command_lines_watched(lab) as seen:
        argv = ("systemd-run", "--unit=leak", f"--setenv=HF_TOKEN={POISON}", "--", "/bin/sh", "-c", leak)
        await host.run(*argv)
        await host.run("systemd-run", "--unit=leak-nobody", "--uid=nobody", f"--setenv=T={POISON}", "sleep", "600")
        said = await operator.pdctl("exec", "-n", "h1", "--", "/bin/sh", "-c", f"echo {POISON}; sleep 1")
        assert shown(said)
        assert await places(host) == {f"h1: {place}" for place in (*_AS_NOBODY, *_AS_ROOT)}
    assert seen == {"here: command line", "h1: command line"}
    assert files_here(tmp_path)
    await host.run("systemctl", "stop", "leak", "leak-nobody")
    await host.run("rm", f"{ROOT}/leak", "/tmp/leak")
