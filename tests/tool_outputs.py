"""Real outputs of AMD, PCI and RDMA tools, kept beside the project: read where they lie, never copied into it.

`PDCTL_TOOL_OUTPUTS` names the directory (one folder per tool); without it a `shared/fixtures` next to the checkout is
used. Where there is none, the tests that read them say so in one line and are skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).parents[2] / "shared" / "fixtures"


def root() -> Path | None:
    """The directory of the outputs, or None where there is none."""
    path = Path(os.environ.get("PDCTL_TOOL_OUTPUTS") or _BESIDE)
    return path if path.is_dir() else None


def read(name: str) -> str:
    """The text of one output ("amd-smi/version-7.0.2.json"); skips the test where it is not there."""
    directory = root()
    if directory is None:
        pytest.skip("no real tool outputs: PDCTL_TOOL_OUTPUTS names no directory that has them")
    if not (directory / name).is_file():
        pytest.skip(f"{name} is not among the real tool outputs of {directory}")
    return (directory / name).read_text(encoding="utf-8", errors="replace")


def names(*tools: str) -> tuple[str, ...]:
    """Every output of some tools, for parametrize; none where there is no directory."""
    directory = root()
    if directory is None:
        return ()
    return tuple(
        sorted(
            str(path.relative_to(directory))
            for tool in tools
            for path in (directory / tool).glob("*")
            if path.is_file()
        )
    )


def says_it_is_cut(name: str) -> bool:
    """Whether an output is an excerpt that says so."""
    return any(line.strip() in {"...", "[output truncated]"} for line in read(name).splitlines())
