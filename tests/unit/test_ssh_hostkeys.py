"""known_hosts files: what is trusted for whom, and how a key gets in."""

from __future__ import annotations

import base64
import hmac
import threading
from pathlib import Path

import pytest

from pdctl.errors import UsageError
from pdctl.ssh.hostkeys import KnownHosts, KnownHostsFile, fingerprint, host_pattern, pin

A, B, C = (f"ssh-ed25519 {base64.b64encode(name * 32).decode()}" for name in (b"a", b"b", b"c"))


def _hashed(name: str) -> str:
    salt = b"0123456789abcdef0123"
    digest = hmac.digest(salt, name.encode(), "sha1")
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize(
    ("line", "host", "port", "found"),
    [
        (f"n1 {A}", "n1", 22, True),
        (f"n1 {A} a comment", "N1", 22, True),
        (f"n1,10.0.0.1 {A}", "10.0.0.1", 22, True),
        (f"n1 {A}", "n2", 22, False),
        (f"[n1]:2222 {A}", "n1", 2222, True),
        (f"[n1]:2222 {A}", "n1", 22, False),
        (f"[n1]:2222 {A}", "n1", 2223, False),
        (f"*.example {A}", "n1.example", 22, True),
        (f"*.example,!bad.example {A}", "bad.example", 22, False),
        (f"n? {A}", "n1", 22, True),
        (f"n? {A}", "n12", 22, False),
        (f"[*]:2222 {A}", "n1", 2222, True),
        (f"{_hashed('n1')} {A}", "n1", 22, True),
        (f"{_hashed('[n1]:2222')} {A}", "n1", 2222, True),
        (f"{_hashed('n1')} {A}", "n2", 22, False),
        (f"# n1 {A}", "n1", 22, False),
    ],
)
def test_whom_a_line_speaks_of(line: str, host: str, port: int, found: bool) -> None:
    pinned = KnownHosts(line + "\n").lookup(host, port)
    assert [entry.key for entry in pinned.keys] == ([A] if found else [])
    assert pinned.known is found


def test_markers_are_kept_apart_and_lines_are_numbered() -> None:
    pinned = KnownHosts(f"\nn1 {A}\n@revoked * {B}\n@cert-authority n* {C}\n").lookup("n1", 22)
    assert [(entry.line, entry.key) for entry in pinned.keys] == [(2, A)]
    assert [(entry.line, entry.key) for entry in pinned.revoked] == [(3, B)]
    assert [(entry.line, entry.key) for entry in pinned.authorities] == [(4, C)]


def test_the_bare_name_is_good_for_trust_on_another_port_but_no_proof_of_a_change() -> None:
    pinned = KnownHosts(f"n1 {A}\n").lookup("n1", 2222)
    assert [entry.key for entry in pinned.keys] == [A]
    assert not pinned.known
    both = KnownHosts(f"n1 {A}\n[n1]:2222 {B}\n").lookup("n1", 2222)
    assert [entry.key for entry in both.keys] == [B]
    assert both.known


@pytest.mark.parametrize(
    "line", ["n1", f"n1 ssh-ed25519 {'*' * 8}", f"@unheard-of n1 {A}", f"|2|x|y {A}", f"|1|x {A}", "@revoked"]
)
def test_a_line_that_is_none_is_named(line: str) -> None:
    """Dropping it could drop a revocation."""
    with pytest.raises(UsageError, match="kh:2"):
        KnownHosts(f"n1 {A}\n{line}\n", path="kh")


def test_a_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    file = KnownHostsFile(tmp_path / "known_hosts")
    assert not file.read().lookup("n1", 22).keys
    pin(file.path, "n1", 22, A)
    first = file.read()
    assert first.lookup("n1", 22).keys
    assert file.read() is first
    file.path.unlink()
    assert not file.read().lookup("n1", 22).keys


def test_pinning_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "known_hosts"
    assert pin(path, "n1", 2222, A)
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("# by hand, without a newline at the end")
    path.chmod(0o640)
    assert pin(path, "n1", 22, A)
    assert not pin(path, "n1", 22, A)
    assert path.read_text() == f"# by hand, without a newline at the end\nn1 {A}\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(one.name for one in path.parent.iterdir()) == ["known_hosts", "known_hosts.lock"]


def test_two_runs_pin_at_once(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    threads = [threading.Thread(target=pin, args=(path, f"n{i}", 22, A)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(path.read_text().splitlines()) == 20


def test_names_and_fingerprints_are_openssh_s() -> None:
    assert host_pattern("n1", 22) == "n1"
    assert host_pattern("::1", 2222) == "[::1]:2222"
    # ssh-keygen -lf of a key whose blob is empty is the SHA-256 of nothing.
    assert fingerprint(b"") == "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"
