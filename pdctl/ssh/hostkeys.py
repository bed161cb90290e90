"""Which host keys are trusted: known_hosts files, parsed once and looked up by name.

pdctl always checks against a file of its own or the inventory's, never against nothing and never against whatever an
ssh_config says. "Unknown" and "changed" are told apart, which asyncssh does not do (the same exception and text for
both, measured with 2.24). The format is OpenSSH's (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): hashed names, patterns with
negation, @revoked and @cert-authority.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import hashlib
import hmac
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import platformdirs

from pdctl.errors import UsageError

DEFAULT_PORT = 22
_MARKERS = ("@revoked", "@cert-authority")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a known_hosts file: `key` is "type base64", `blob` the decoded key."""

    line: int
    marker: str  # "" | "@revoked" | "@cert-authority"
    key: str
    blob: bytes


@dataclass(frozen=True, slots=True)
class Pinned:
    """What a file says of one host. `by_port` is False where only the bare name's entries were found: they are good
    for trust, as in OpenSSH, but say nothing against another key on this port."""

    keys: tuple[Entry, ...] = ()
    authorities: tuple[Entry, ...] = ()
    revoked: tuple[Entry, ...] = ()
    by_port: bool = True

    @property
    def known(self) -> bool:
        """Whether a different key on this host is a changed one, not merely one never seen."""
        return self.by_port and bool(self.keys or self.authorities)


class KnownHosts:
    """A parsed file. Plain names are found in a dict; hashed ones cost one HMAC each, patterns one match each."""

    def __init__(self, text: str = "", *, path: str = "known_hosts") -> None:
        """Raises UsageError, naming path and line, for a line that is none: a revocation must not be lost silently."""
        self._plain: dict[str, list[Entry]] = {}
        self._hashed: list[tuple[bytes, bytes, Entry]] = []
        self._patterns: list[tuple[tuple[re.Pattern[str], ...], tuple[re.Pattern[str], ...], Entry]] = []
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip() and not line.lstrip().startswith("#"):
                try:
                    self._add(line.split(), number)
                except (ValueError, IndexError):
                    raise UsageError(
                        f"{path}:{number}: not a known_hosts line", hint="correct or remove this line"
                    ) from None

    def lookup(self, host: str, port: int) -> Pinned:
        """What is pinned for `host` on `port`; the bare name's entries where the port has none of its own."""
        entries = self._entries(host_pattern(host, port))
        by_port = True
        if port != DEFAULT_PORT and not any(entry.marker != "@revoked" for entry in entries):
            entries += self._entries(host)
            by_port = False
        return Pinned(
            keys=tuple(entry for entry in entries if not entry.marker),
            authorities=tuple(entry for entry in entries if entry.marker == "@cert-authority"),
            revoked=tuple(entry for entry in entries if entry.marker == "@revoked"),
            by_port=by_port,
        )

    def _add(self, fields: list[str], line: int) -> None:
        marker = fields.pop(0) if fields[0].startswith("@") else ""
        if marker and marker not in _MARKERS:
            raise ValueError(marker)
        names, algorithm, encoded = fields[0], fields[1], fields[2]
        entry = Entry(line, marker, f"{algorithm} {encoded}", base64.b64decode(encoded, validate=True))
        if names.startswith("|"):
            _, magic, salt, digest = names.split("|")
            if magic != "1":
                raise ValueError(magic)
            self._hashed.append((binascii.a2b_base64(salt), binascii.a2b_base64(digest), entry))
        elif any(character in names for character in "*?!"):
            patterns = names.lower().split(",")
            self._patterns.append(
                (
                    tuple(_glob(pattern) for pattern in patterns if not pattern.startswith("!")),
                    tuple(_glob(pattern[1:]) for pattern in patterns if pattern.startswith("!")),
                    entry,
                )
            )
        else:
            for name in names.lower().split(","):
                self._plain.setdefault(name, []).append(entry)

    def _entries(self, name: str) -> list[Entry]:
        name = name.lower()
        entries = list(self._plain.get(name, ()))
        for wanted, unwanted, entry in self._patterns:
            if any(one.fullmatch(name) for one in wanted) and not any(one.fullmatch(name) for one in unwanted):
                entries.append(entry)
        encoded = name.encode()
        entries += [
            entry
            for salt, digest, entry in self._hashed
            if hmac.compare_digest(hmac.digest(salt, encoded, "sha1"), digest)
        ]
        return entries


class KnownHostsFile:
    """One file, parsed again only when it has changed; one that does not exist pins nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int, int] | None = None
        self._parsed = KnownHosts(path=str(path))

    def read(self) -> KnownHosts:
        """Raises UsageError where the file cannot be read or parsed."""
        try:
            status = self.path.stat()
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                self._parsed = KnownHosts(self.path.read_text(errors="replace"), path=str(self.path))
                self._stamp = stamp
        except FileNotFoundError:
            self._parsed, self._stamp = KnownHosts(path=str(self.path)), None
        except OSError as exc:
            raise UsageError(f"{self.path}: {exc.strerror}", hint="known host keys cannot be read") from exc
        return self._parsed


def default_known_hosts() -> Path:
    """pdctl's own file, used where the inventory names none."""
    return platformdirs.user_data_path("pdctl") / "known_hosts"


def host_pattern(host: str, port: int) -> str:
    """The name of a host in a known_hosts file: the bare name on port 22, else "[host]:port"."""
    return host if port == DEFAULT_PORT else f"[{host}]:{port}"


def fingerprint(blob: bytes) -> str:
    """The SHA256 fingerprint as OpenSSH prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def public_line(key: asyncssh.SSHKey) -> str:
    """A key as "type base64"."""
    return " ".join(key.export_public_key("openssh").decode().split()[:2])


def pin(path: Path, host: str, port: int, key: str) -> bool:
    """Append a host's key ("type base64") to a known_hosts file; False where it stands there already.

    Safe against other pdctl processes (a lock file) and against crashes (written aside, then renamed).
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(path):
        text = path.read_text() if path.exists() else ""
        entry = f"{host_pattern(host, port)} {key}"
        if entry in (" ".join(line.split()[:3]) for line in text.splitlines()):
            return False
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        _replace(path, text + ("" if not text or text.endswith("\n") else "\n") + entry + "\n", mode)
    return True


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.with_name(path.name + ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _replace(path: Path, text: str, mode: int) -> None:
    target = path.resolve()  # a link stays a link
    descriptor, aside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, mode)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        Path(aside).replace(target)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def _glob(pattern: str) -> re.Pattern[str]:
    """OpenSSH patterns know `*` and `?` only; brackets are literal."""
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."))
