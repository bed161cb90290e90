"""What holds for every test of the screen: nothing of the user's, nothing that moves by itself."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from textual.app import App
from textual.widgets import Input


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration, no theme and no colour setting of whoever runs the tests; no animation, no blinking cursor."""
    for name in list(os.environ):
        if name.startswith(("TEXTUAL", "PDCTL", "NO_COLOR", "FORCE_COLOR")):
            monkeypatch.delenv(name)
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(App, "animation_level", "none", raising=False)
    monkeypatch.setattr(Input, "_toggle_cursor", lambda self: None)
