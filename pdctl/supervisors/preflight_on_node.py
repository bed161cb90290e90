"""Node side: what must hold before a unit is started: its paths answer, its ports are free.

A refusal names the cause: which path, whose port (pid and command where /proc shows them).
"""

import errno
import os
import select
import signal
import socket

from pdctl.supervisors.node_state_on_node import Refusal
from pdctl.supervisors.proc_on_node import all_pids, describe

PATH_WAIT_S = 5.0  # a hung NFS server holds stat() for minutes
LISTEN = "0A"  # net/tcp_states.h


def check_paths(paths: "list[str]", wait_s: float = PATH_WAIT_S) -> None:
    """Refuse unless every path exists. A child of its own asks: where the file system hangs only the child does."""
    if not paths:
        return
    read_fd, write_fd = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):  # a child in D state must not hold the SSH channel open
                os.dup2(null, fd)
            for path in paths:
                os.write(write_fd, b"1" if os.path.exists(os.path.expanduser(path)) else b"0")
        finally:
            os._exit(0)
    os.close(write_fd)
    answers = b""
    while len(answers) < len(paths) and select.select([read_fd], [], [], wait_s)[0]:
        got = os.read(read_fd, len(paths))
        if not got:
            break
        answers += got
    os.close(read_fd)
    os.kill(child, signal.SIGKILL)
    missing = [paths[i] for i, answer in enumerate(answers) if answer != ord("1")]
    if missing:
        raise Refusal("path", "missing on the node: {}".format(", ".join(missing)), "is it mounted, and spelt right?")
    if len(answers) < len(paths):
        raise Refusal(
            "path",
            "no answer for {} within {:.0f} s: its file system hangs".format(paths[len(answers)], wait_s),
            "look at the storage (mount, NFS server) of the node",
        )
    os.waitpid(child, 0)


def check_ports(address: str, ports: "list[int]") -> None:
    """Refuse unless every port can be bound on `address` as a server would (SO_REUSEADDR: TIME_WAIT is no owner)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in ports:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
                probe.listen(1)  # a listener with SO_REUSEADDR lets others bind; it shows here
            except OSError as error:
                raise port_refusal(address, port, error) from None


def port_refusal(address: str, port: int, error: OSError) -> Refusal:
    if error.errno == errno.EADDRINUSE:
        return Refusal("port", "port {} is taken by {}".format(port, port_owner(port)), "stop it, or change the port")
    if error.errno == errno.EADDRNOTAVAIL:
        return Refusal(
            "address", "{} is no address of this node".format(address), "check data_address (`ip addr` on the node)"
        )
    return Refusal("port", "port {} on {}: {}".format(port, address, error.strerror), "choose another port")


def port_owner(port: int) -> str:
    """Who holds the port, as far as this user may see."""
    inodes = socket_inodes(port)
    for pid in all_pids():
        try:
            links = [os.readlink("/proc/{}/fd/{}".format(pid, fd)) for fd in os.listdir("/proc/{}/fd".format(pid))]
        except OSError:  # another user's, or gone
            continue
        if any(link == "socket:[{}]".format(inode) for link in links for inode in inodes):
            return describe(pid)
    return "a process of another user" if inodes else "a process that is not to be seen"


def socket_inodes(port: int) -> "set[str]":
    """Inodes of the sockets on a local port: the listening ones, or else any (proc(5), /proc/net/tcp)."""
    found: "dict[str, set[str]]" = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as file:
                rows = [line.split() for line in file][1:]
        except OSError:
            continue
        for row in rows:
            if int(row[1].rpartition(":")[2], 16) == port:
                found.setdefault(row[3], set()).add(row[9])
    return found.get(LISTEN) or set().union(*found.values())
