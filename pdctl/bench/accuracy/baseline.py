"""Where an evaluation is kept to compare later ones with."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import ValidationError

from pdctl.bench.accuracy.scores import Evaluation
from pdctl.bench.runs.atomic import write_whole
from pdctl.errors import BenchError


def baseline_path(data: Path, deployment: str) -> Path:
    """The default place, below the user's data directory: one per cluster."""
    return data / "accuracy" / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', deployment)}.json"


def read_baseline(path: Path) -> Evaluation | None:
    """None where there is none. Raises BenchError where there is one that cannot be read."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BenchError(f"the baseline {path} cannot be read: {error.strerror}") from None
    try:
        return Evaluation.model_validate_json(text)
    except (ValidationError, UnicodeDecodeError):
        raise BenchError(f"{path} is no baseline of pdctl", hint="write a new one: `--save-baseline`") from None


def write_baseline(path: Path, evaluation: Evaluation) -> None:
    """Whole or not at all. Raises BenchError."""
    write_whole(path, evaluation.model_dump_json(indent=2) + "\n")
