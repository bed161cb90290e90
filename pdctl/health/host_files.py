"""File systems, the model's files and the engine's image on a node."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pdctl.health.envelope import Envelope
from pdctl.health.outputs import absent, items_of, output
from pdctl.health.parse.df import FileSystem, df
from pdctl.model.reading import Known, Reading, Unknown

_DIGEST: Final = re.compile(r"([0-9a-f]{64})  (/.*)")
_IMAGE: Final = re.compile(r"(sha256:[0-9a-f]{64})\b.*")
_STAT: Final = re.compile(r"(/.*) (\d{1,20}) (directory|regular (?:empty )?file)")
_CONFIG: Final = "/config.json"


@dataclass(frozen=True, slots=True)
class FileSystems:
    """What `df` said: of the paths every node has, and of each path of the inventory by itself."""

    common: Reading[tuple[FileSystem, ...]]
    asked: dict[str, Reading[FileSystem]]

    def of(self, path: str) -> Reading[FileSystem]:
        """The file system that holds `path`: what was asked for it, else the mount with the longest name in it."""
        if path in self.asked:
            return self.asked[path]
        if isinstance(self.common, Unknown):
            return self.common
        holding = [each for each in self.common.value if f"{path}/".startswith(f"{each.mount.rstrip('/')}/")]
        if not holding:
            return Unknown(f"df does not show {path}", self.common.source)
        return Known(max(holding, key=lambda each: len(each.mount)), self.common.source)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The model's directory. `digest`: sha256 of its configuration and of its index of weights, where it has one.

    `applies` False: the model is no path on the node, or nothing asked for it.
    """

    applies: bool
    configured: Reading[bool]
    digest: Reading[str]
    file_system: Reading[FileSystem]


def file_systems(envelope: Envelope) -> FileSystems:
    """The `df` items of an envelope."""
    asked = {path: _one(envelope, item) for item, path in items_of(envelope, "df") if path.startswith("/")}
    text = output(envelope, "df")
    return FileSystems(df(text.value) if isinstance(text, Known) else text, asked)


def model_files(envelope: Envelope) -> ModelFiles:
    """The `model.*` items of an envelope."""
    item = envelope.items.get("model.stat")
    if item is None:
        nothing = Unknown("the model is no path on the node", "model.stat")
        return ModelFiles(False, nothing, nothing, nothing)
    rows = [match for line in item.stdout.splitlines() if (match := _STAT.fullmatch(line))]
    config = next((row for row in rows if row[1].endswith(_CONFIG)), None)
    configured: Reading[bool]
    if config is not None:
        configured = Known(int(config[2]) > 0, "model.stat")
    elif item.status is None or item.timed_out:
        configured = Unknown("the model's path does not answer" if item.timed_out else item.refused, "model.stat")
    elif "No such file" in item.stderr or rows:
        configured = Known(False, "model.stat")
    else:
        configured = Unknown(f"stat said {item.stderr.strip()[:100]!r}", "model.stat")
    return ModelFiles(True, configured, _digest(envelope), _one(envelope, "df.model"))


def image_id(envelope: Envelope) -> Reading[str]:
    """The id of the engine's image; a tag says nothing, since it moves."""
    item = envelope.items.get("docker.image")
    text = output(envelope, "docker.image")
    if isinstance(text, Unknown):
        if item is not None and "No such image" in item.stderr:
            return Unknown("the node does not have the image", "docker.image")
        return text
    match = _IMAGE.match(text.value.strip())
    return (
        Known(match.group(1), text.source) if match else Unknown(f"{text.value.strip()[:60]!r} is no id", text.source)
    )


def image_missing(envelope: Envelope) -> bool:
    """Whether docker answered that it does not have the image."""
    item = envelope.items.get("docker.image")
    return item is not None and not absent(envelope, "docker.image") and "No such image" in item.stderr


def _digest(envelope: Envelope) -> Reading[str]:
    text = output(envelope, "model.sha256")
    if isinstance(text, Unknown):
        return text
    found = {
        match.group(2).rsplit("/", 1)[-1]: match.group(1)
        for line in text.value.splitlines()
        if (match := _DIGEST.fullmatch(line))
    }
    if "config.json" not in found:
        return Unknown("it has no sum of config.json", text.source)
    return Known(" ".join(f"{name} {digest[:16]}" for name, digest in sorted(found.items())), text.source)


def _one(envelope: Envelope, item: str) -> Reading[FileSystem]:
    text = output(envelope, item)
    rows = df(text.value) if isinstance(text, Known) else text
    if isinstance(rows, Unknown):
        return rows
    return Known(rows.value[0], item) if len(rows.value) == 1 else Unknown("it shows several file systems", item)
