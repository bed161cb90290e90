"""httpx as pdctl loads it: without its command line, and without a search at every lock."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest

from pdctl.ssh.lean_httpx import assume_asyncio


@pytest.fixture(autouse=True)
def _never_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sniffio", sys)  # so that what was there before is put back
    del sys.modules["sniffio"]


def test_an_absent_module_is_not_searched_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assume_asyncio()
    assert "sniffio" in sys.modules
    with pytest.raises(ImportError):
        __import__("sniffio")


def test_a_module_that_is_there_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assume_asyncio()
    assert "sniffio" not in sys.modules


def test_the_command_line_is_left_out_and_can_be_had_all_the_same() -> None:
    code = "import json, sys; from pdctl.ssh.lean_httpx import httpx; print(json.dumps(sorted(sys.modules)))"
    code += "; httpx.AsyncClient; import httpx._main"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = json.loads(ran.stdout)
    assert "httpx" in loaded
    assert not {"httpx._main", "rich.console", "pygments"}.intersection(loaded)
