"""What one collection on one node brought, raw: saved, replayed, attached to bug reports. Nothing in it is judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

SCHEMA = 1


class Raw(BaseModel):
    """Base: an envelope of a newer pdctl may hold more, which is kept out of the way and not refused."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Item(Raw):
    """One command that was run, or why it was not.

    `status` None: it did not end by itself (`timed_out`), or was never started (`refused`). A status of 0 says
    nothing about there being data.
    """

    argv: tuple[str, ...]
    status: int | None = None
    seconds: Annotated[float, Field(ge=0)] = 0.0
    timed_out: bool = False
    refused: str = ""  # why it was not started or not as root: "not found", "sudo: a password is required"
    stdout: str = ""
    stderr: str = ""
    truncated: bool = False  # the output was longer than the cap


class File(Raw):
    """One file that was read: its text, or why not (`error` is errno's name: "ENOENT", "EACCES", "ETIMEDOUT")."""

    text: str = ""
    error: str = ""
    truncated: bool = False


class Envelope(Raw):
    """One node's collection. Clocks: `wall_s` is the node's own at the end, `asked_s`/`answered_s` the controller's.

    `items` by id ("amd-smi.metric"), `files` by path, `links` symlink path -> target, `dirs` path -> names, `samples`
    the same files read more than once (path -> texts in order) where one look would mislead. `missing` says what the
    collector had to leave out, for want of time or room.
    """

    schema_version: int = Field(SCHEMA, alias="schema")
    node: str = ""
    host: str = ""
    machine_id: str = ""
    boot_id: str = ""
    kernel: str = ""
    python: str = ""
    user: str = ""
    wall_s: float = 0.0
    mono_s: float = 0.0
    seconds: float = 0.0
    asked_s: float | None = None
    answered_s: float | None = None
    items: Mapping[str, Item] = Field(default_factory=dict)
    files: Mapping[str, File] = Field(default_factory=dict)
    links: Mapping[str, str] = Field(default_factory=dict)
    dirs: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    samples: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    missing: tuple[str, ...] = ()
