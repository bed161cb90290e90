"""Which processes hang below a simulated node, and how it learns of it."""

from __future__ import annotations

import os
import subprocess
import sys

from pdctl.sim import node_tree

TABLE = {1: 0, 10: 1, 11: 10, 12: 10, 20: 11, 30: 20, 99: 1}


def test_descendants_are_all_below_and_only_those() -> None:
    assert sorted(node_tree.descendants(10, table=TABLE)) == [11, 12, 20, 30]
    assert node_tree.descendants(30, table=TABLE) == []


def test_spared_processes_keep_what_hangs_below_them() -> None:
    assert node_tree.descendants(10, spare=[11], table=TABLE) == [12]


def test_a_zombie_is_no_live_process() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", "pass"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.read() == b""  # it is ending
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it ended; nobody has waited for it
        assert child.pid not in node_tree.parents()
        assert os.getpid() in node_tree.parents()


def test_nothing_is_left_of_a_tree_that_forks_while_it_is_killed() -> None:
    """The killer runs in a process of its own: it kills everything below itself."""
    breeder = "while :; do (sleep 5 &) ; done"
    killer = (
        "import subprocess, time\n"
        "from pdctl.sim import node_tree\n"
        "node_tree.become_subreaper()\n"
        f"subprocess.Popen(['sh', '-c', {breeder!r}], start_new_session=True)\n"
        "time.sleep(0.1)\n"
        "assert node_tree.descendants(__import__('os').getpid())\n"
        "print(node_tree.kill_descendants())\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", killer], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("[]\n", "")
