"""What httpcore looks for at every request is searched for once."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from pdctl.ssh.known_loop import assume_asyncio


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
