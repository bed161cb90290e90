"""Secrets: resolved here when a run needs them, carried to the nodes over stdin, shown nowhere."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from pdctl.errors import PdctlError
from pdctl.model.deployment import Deployment, Secret

COMMAND_TIMEOUT_S = 60.0


class SecretMissing(PdctlError):
    """One or more secrets of the inventory have no value here."""


def resolve(deployment: Deployment, environ: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """Every secret's value by name. Raises SecretMissing naming all that have none (never a value)."""
    environ = os.environ if environ is None else environ
    values: dict[str, str] = {}
    missing: list[str] = []
    for secret in deployment.secrets:
        try:
            value = _value(secret, environ)
        except (OSError, KeyError, RuntimeError, UnicodeError, subprocess.SubprocessError) as error:
            missing.append(f"{secret.name} ({secret.source} {secret.argument}: {_why(error)})")
            continue
        if value:
            values[secret.name] = value
        else:
            missing.append(f"{secret.name} ({secret.source} {secret.argument}: empty)")
    if missing:
        raise SecretMissing(
            f"secrets without a value: {', '.join(missing)}",
            hint="set the variable, write the file or mend the command that the inventory's `secrets` names",
        )
    return values


def _value(secret: Secret, environ: Mapping[str, str]) -> str:
    if secret.source == "env":
        return environ[secret.argument]
    if secret.source == "file":
        return Path(secret.argument).expanduser().read_text().strip()
    ran = subprocess.run(
        ["/bin/sh", "-c", secret.argument], capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=True
    )
    return ran.stdout.strip()


def _why(error: Exception) -> str:
    """The reason without any output, which could hold the secret."""
    if isinstance(error, KeyError):
        return "not set"
    if isinstance(error, UnicodeError):
        return "no UTF-8 text"
    if isinstance(error, RuntimeError):
        return "no such user's home"
    if isinstance(error, subprocess.CalledProcessError):
        return f"exit status {error.returncode}"
    if isinstance(error, subprocess.TimeoutExpired):
        return "timed out"
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else type(error).__name__
