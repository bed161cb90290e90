"""Host tools and small kernel files, read; and what fabric tests print."""

from __future__ import annotations

from ipaddress import IPv4Interface
from typing import TypeVar

import pytest

from pdctl.health.parse.clock_sync import chronyc, timedatectl
from pdctl.health.parse.df import df
from pdctl.health.parse.fabric_tests import ib_write_bw, ib_write_lat, ibv_rc_pingpong, rccl_bus_bandwidth
from pdctl.health.parse.ip_link import ip_links
from pdctl.health.parse.ip_route import default_device, ip_routes, ip_rules
from pdctl.health.parse.kernel_text import bracketed, cmdline, failed_units, lsmod, modinfo, modinfo_field
from pdctl.health.parse.limits import UNLIMITED, proc_limits, soft_limit, ulimit
from pdctl.health.parse.memory import free_bytes, lsmem, meminfo, numactl
from pdctl.health.parse.sockets import listeners
from pdctl.model.reading import Known, Reading, Unknown
from tests import tool_outputs

T = TypeVar("T")

GIB = 1 << 30


def known(reading: Reading[T]) -> T:
    assert isinstance(reading, Known), reading
    return reading.value


def test_ip_addr_text() -> None:
    links = {link.name: link for link in known(ip_links(tool_outputs.read("ip_addr/node-scraper.txt")))}
    assert links["eth0"].ipv4 == (IPv4Interface("1.123.123.100/24"),)
    assert (known(links["eth0"].mtu), known(links["eth0"].state)) == (5678, "UP")
    assert isinstance(links["lo"].state, Unknown)


def test_ip_link_brief_with_one_that_is_down() -> None:
    links = known(ip_links(tool_outputs.read("ip_link/ainic-ip-link-one-down.txt")))
    assert [link.name for link in links if link.state == Known("DOWN", "ip addr")] == ["enP7p1s0f0"]
    assert len(links) == 9
    assert len(known(ip_links(tool_outputs.read("ip_link/ainic-ip-link-pass.txt")))) == 9


@pytest.mark.parametrize(("name", "mac"), [("enp132s0", "04:90:81:2a:2c:28"), ("enp68s0", "04:90:81:2c:4f:90")])
def test_ip_link_with_a_virtual_function(name: str, mac: str) -> None:
    (link,) = known(ip_links(tool_outputs.read(f"ip_link/ionic-ip_link_show_{name}.txt")))
    assert (link.name, known(link.mtu), known(link.mac)) == (name, 1500, mac)


def test_ip_addr_json_with_a_bond() -> None:
    text = """[{"ifname":"rdma0","master":"bond0","mtu":9000,"operstate":"UP","address":"02:00:00:00:00:01"},
      {"ifname":"bond0","mtu":9000,"operstate":"UP","addr_info":[
        {"family":"inet","local":"10.1.0.1","prefixlen":24},{"family":"inet6","local":"fe80::1"}]}]"""
    links = {link.name: link for link in known(ip_links(text))}
    assert links["rdma0"].master == "bond0"
    assert links["bond0"].ipv4 == (IPv4Interface("10.1.0.1/24"),)
    assert isinstance(ip_links(text[:80]), Unknown)


def test_routes_and_rules_in_both_forms() -> None:
    text = "default via 10.0.0.254 dev eth0 proto dhcp src 10.0.0.1 metric 100\n"
    text += "10.1.0.0/24 dev rdma0 table 101 src 10.1.0.1\n"
    routes = known(ip_routes(text + "local 10.1.0.1 dev rdma0 table local\n"))
    assert default_device(routes) == "eth0"
    assert [(route.destination, route.table, route.kind) for route in routes[1:]] == [
        ("10.1.0.0/24", "101", "unicast"),
        ("10.1.0.1", "local", "local"),
    ]
    json_routes = known(ip_routes('[{"dst":"default","gateway":"10.0.0.254","dev":"eth0"}]'))
    assert default_device(json_routes) == "eth0"
    rules = known(ip_rules("0:\tfrom all lookup local\n100:\tfrom 10.1.0.1 lookup 101\n32766:\tfrom all lookup main\n"))
    assert [(rule.source, rule.table) for rule in rules] == [("all", "local"), ("10.1.0.1", "101"), ("all", "main")]
    (rule,) = known(ip_rules('[{"priority":100,"src":"10.1.0.1","table":"101"}]'))
    assert (rule.source, rule.table) == ("10.1.0.1", "101")


def test_df() -> None:
    systems = {system.mount: system for system in known(df(tool_outputs.read("df/node-scraper-df-B1.txt")))}
    assert systems["/dev/shm"].size_bytes == 269649281024
    assert systems["/"].free_fraction == pytest.approx(0.97, abs=0.01)
    wrapped = df(
        "Filesystem 1-blocks Used Available Capacity Mounted on\nnfs:/a/long/export\n  100 50 50 50% /models\n"
    )
    assert known(wrapped)[0].mount == "/models"


@pytest.mark.parametrize("text", ["", "Filesystem 1K-blocks Used Available Use% Mounted on\n/dev/sda 1 1 1 1% /\n"])
def test_df_that_does_not_count_in_bytes_is_unknown(text: str) -> None:
    assert isinstance(df(text), Unknown)


@pytest.mark.parametrize(("name", "count", "size"), [("299", 1, 16), ("348", 4, 8), ("77", 2, 32)])
def test_numactl(name: str, count: int, size: int) -> None:
    numa = known(numactl(tool_outputs.read(f"numactl/node-scraper-{name}.txt")))
    assert len(numa.nodes) == count
    assert {known(node.size_bytes) for node in numa.nodes} == {size * GIB}
    assert known(numa.distances)[0][0] == 10


def test_numactl_without_sizes_leaves_them_unknown() -> None:
    numa = known(numactl(tool_outputs.read("numactl/node-scraper-322.txt")))
    assert numa.nodes[1].cpus == (4, 5, 6, 7)
    assert all(isinstance(node.size_bytes, Unknown) for node in numa.nodes)


def test_numactl_that_announces_more_than_it_lists_is_unknown() -> None:
    text = tool_outputs.read("numactl/node-scraper-348.txt")
    assert isinstance(numactl(text.replace("node 2 cpus", "node two cpus")), Unknown)


def test_free_lsmem_meminfo() -> None:
    memory = known(free_bytes(tool_outputs.read("free/node-scraper-free-b.txt")))
    assert (known(memory.total_bytes), known(memory.available_bytes)) == (2164113772544, 2122320150528)
    online, offline = known(lsmem(tool_outputs.read("lsmem/node-scraper-lsmem.txt")))
    assert (known(online), known(offline)) == (254 * GIB, 0)
    info = meminfo("MemTotal:       2113392356 kB\nMemFree:  1 kB\n")
    assert known(info.total_bytes) == 2113392356 << 10
    assert isinstance(info.available_bytes, Unknown)


def test_modinfo() -> None:
    info = modinfo(tool_outputs.read("modinfo/node-scraper-amdgpu.txt"))
    assert known(modinfo_field(info, "version")) == "99.88.77"
    assert isinstance(modinfo_field(info, "firmware"), Unknown)
    assert isinstance(modinfo("modinfo: ERROR: Module amdgpu not found.\n"), Unknown)


def test_clocks() -> None:
    text = "Reference ID    : A9FEA97B\nSystem time     : 0.000012 seconds slow of NTP time\nLeap status     : Normal\n"
    sync = known(chronyc(text))
    assert known(sync.synchronized) is True
    assert known(sync.offset_s) == pytest.approx(-0.000012)
    assert known(known(chronyc(text.replace("Normal", "Not synchronised"))).synchronized) is False
    assert isinstance(chronyc("506 Cannot talk to daemon\n"), Unknown)
    assert known(known(timedatectl("Timezone=UTC\nNTPSynchronized=no\n")).synchronized) is False
    assert known(known(timedatectl("  System clock synchronized: yes\n")).synchronized) is True


def test_listeners() -> None:
    text = 'LISTEN 0 4096 10.1.0.1:20005 0.0.0.0:* users:(("vllm",pid=12,fd=9))\nLISTEN 0 128 [::]:22 [::]:*\n'
    first, second = known(listeners(text))
    assert (first.address, first.port, first.processes) == ("10.1.0.1", 20005, (("vllm", 12),))
    assert first.holds("10.1.0.1", 20005)
    assert not first.holds("10.1.0.2", 20005)
    assert second.holds("10.1.0.2", 22)


@pytest.mark.parametrize("text", ["", "LISTEN 0 128 0.0.0.0:2000", "LISTEN 0 12\n", "Cannot open netlink socket\n"])
def test_listeners_that_are_cut_off_are_unknown(text: str) -> None:
    assert isinstance(listeners(text), Unknown)


def test_limits() -> None:
    text = "Limit  Soft Limit  Hard Limit  Units\n"
    text += "Max locked memory         unlimited            unlimited            bytes     \n"
    text += "Max open files            1024                 524288               files     \n"
    limits = proc_limits(text)
    assert known(soft_limit(limits, "Max locked memory")) == UNLIMITED
    assert known(soft_limit(limits, "Max open files")) == 1024
    assert isinstance(soft_limit(limits, "Max processes"), Unknown)
    shell = known(
        ulimit("max locked memory           (kbytes, -l) 65536\nopen files                          (-n) 1024\n")
    )
    assert shell == {"l": 64 << 20, "n": 1024}


def test_small_kernel_files() -> None:
    assert known(cmdline('ro iommu=pt pci=realloc=off dyndbg="file a +p" quiet\n')) == {
        "ro": "",
        "iommu": "pt",
        "pci": "realloc=off",
        "dyndbg": "file a +p",
        "quiet": "",
    }
    assert known(bracketed("always [madvise] never\n", "thp")) == "madvise"
    assert isinstance(bracketed("always madvise never\n", "thp"), Unknown)
    assert "amdgpu" in known(lsmod("Module                  Size  Used by\namdgpu  19881984  0\n"))
    listed = "● a.service loaded failed failed A\nb.mount loaded failed failed B\n"
    assert known(failed_units(f"UNIT LOAD ACTIVE SUB\n{listed}\n2 loaded units listed.\n")) == ("a.service", "b.mount")
    assert known(failed_units("0 loaded units listed.\n")) == ()
    assert isinstance(failed_units(listed), Unknown)
    assert isinstance(failed_units(""), Unknown)


@pytest.mark.parametrize(("name", "gbps"), [("pass-high", 392.18), ("below-threshold", 180.50)])
def test_ib_write_bw(name: str, gbps: float) -> None:
    assert known(ib_write_bw(tool_outputs.read(f"ib_write_bw/ainic-{name}.log"))).average_gbps == gbps


@pytest.mark.parametrize(("name", "said"), [("crashed", "ibv_create_qp failed"), ("empty", "")])
def test_an_ib_write_bw_that_crashed_or_stopped_is_unknown(name: str, said: str) -> None:
    reading = ib_write_bw(tool_outputs.read(f"ib_write_bw/ainic-{name}.log"))
    assert isinstance(reading, Unknown)
    assert said in reading.reason


def test_ib_write_bw_in_megabytes() -> None:
    text = " #bytes     #iterations    BW peak[MiB/sec]    BW average[MiB/sec]   MsgRate[Mpps]\n"
    text += " 65536 5000 46000.00 45000.00 0.7\n"
    assert known(ib_write_bw(text)).average_gbps == pytest.approx(377.49, abs=0.01)
    assert isinstance(ib_write_bw(text.rstrip("\n")), Unknown)  # the figure may have been cut short


def test_ib_write_lat_and_pingpong() -> None:
    head = " #bytes #iterations    t_min[usec]    t_max[usec]  t_typical[usec]    t_avg[usec]    t_stdev[usec]\n"
    assert (
        known(ib_write_lat(head + " 2       1000          2.10           9.40         2.20           2.25  0.1\n"))
        == 2.2
    )
    text = "8192000 bytes in 0.01 seconds = 8192.00 Mbit/sec\n1000 iters in 0.01 seconds = 8.00 usec/iter\n"
    assert known(ibv_rc_pingpong(text)).usec_per_iteration == 8.0
    failed = ibv_rc_pingpong("Failed to modify QP to RTR\nCouldn't connect to remote QP\n")
    assert isinstance(failed, Unknown)
    assert "RTR" in failed.reason


def test_rccl_tests() -> None:
    assert known(rccl_bus_bandwidth(tool_outputs.read("rccl_tests/phase2-bw-below-threshold.log"))) == 173.7
    assert isinstance(rccl_bus_bandwidth(tool_outputs.read("rccl_tests/phase2-rccl-crash.log")), Unknown)
    assert isinstance(
        rccl_bus_bandwidth("# Out of bounds values : 3 FAILED\n# Avg bus bandwidth    : 300.1\n"), Unknown
    )
