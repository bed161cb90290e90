"""What the parsers of GPU tools claim about real outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pdctl.health.parse.amd_smi_bad_pages import parse_bad_pages
from pdctl.health.parse.amd_smi_firmware import parse_firmware
from pdctl.health.parse.amd_smi_list import parse_list
from pdctl.health.parse.amd_smi_metric import parse_metric
from pdctl.health.parse.amd_smi_partition import parse_partition
from pdctl.health.parse.amd_smi_process import parse_process
from pdctl.health.parse.amd_smi_static import parse_static
from pdctl.health.parse.amd_smi_topology import parse_topology
from pdctl.health.parse.amd_smi_version import parse_version
from pdctl.health.parse.amd_smi_xgmi import parse_xgmi
from pdctl.health.parse.lspci import parse_lspci
from pdctl.health.parse.rocm_smi import parse_rocm_smi
from pdctl.health.parse.rocm_smi_ras import parse_rasinfo
from pdctl.health.parse.rocm_version import parse_module_version, parse_rocm_version
from pdctl.health.parse.rocminfo import parse_rocminfo
from pdctl.model.reading import Known, Reading, value_or
from tests.property.tool_output_claims import Claims, Family, by, flat


def _list(text: str) -> Claims:
    listing = parse_list(text)
    return flat(by(listing.gpus, lambda gpu: gpu.index))


def _metric(text: str) -> Claims:
    """Without totals of errors over all blocks and accumulators: what is left of a sum is less, and still a fault."""
    claims = flat(parse_metric(text))
    return {name: value for name, value in claims.items() if ".errors." not in name and "accumulated" not in name}


def _processes(text: str) -> Claims:
    rows = {
        index: by(processes.value, lambda process: process.pid)
        for index, processes in parse_process(text).items()
        if isinstance(processes, Known)
    }
    return flat(rows)


def _topology(text: str) -> Claims:
    return flat(value_or(parse_topology(text), {}))


def _whole(reading: Reading[tuple[Any, ...]], key: Any) -> Claims:
    return flat(by(reading.value, key)) if isinstance(reading, Known) else {}


def _lspci(text: str) -> Claims:
    return _whole(parse_lspci(text), lambda device: device.address)


def _rocminfo(text: str) -> Claims:
    return _whole(parse_rocminfo(text), lambda agent: value_or(agent.address, ""))


def _rocm_smi(text: str) -> Claims:
    found = parse_rocm_smi(text)
    return flat({"gpus": found.gpus, "driver": found.driver})


def _xgmi(text: str) -> Claims:
    rates: Mapping[str, Any] = {address: gpu.rate_gbps for address, gpu in parse_xgmi(text).items()}
    return flat(rates)


AMD_SMI = ("amd-smi/",)
FAMILIES = (
    Family("amd-smi list", AMD_SMI, _list),
    Family("amd-smi static", AMD_SMI, lambda text: flat(parse_static(text))),
    Family("amd-smi metric", AMD_SMI, _metric),
    Family("amd-smi process", AMD_SMI, _processes, whole_only=True),
    Family("amd-smi firmware", AMD_SMI, lambda text: flat(parse_firmware(text))),
    Family("amd-smi version", ("amd-smi/version", "amd-smi/changelog-L1235"), lambda text: flat(parse_version(text))),
    Family("amd-smi bad-pages", AMD_SMI, lambda text: flat(parse_bad_pages(text))),
    Family("amd-smi topology", AMD_SMI, _topology),
    Family("amd-smi xgmi", AMD_SMI, _xgmi),
    Family("amd-smi partition", AMD_SMI, lambda text: flat(parse_partition(text))),
    Family("rocm-smi", ("rocm-smi/",), _rocm_smi),
    Family("rocm-smi --showrasinfo", ("rocm-smi/",), lambda text: flat(parse_rasinfo(text))),
    Family("rocminfo", ("rocminfo/",), _rocminfo),
    Family("lspci", ("lspci/",), _lspci),
    Family("ROCm's version", ("rocm_version/",), lambda text: flat({"rocm": parse_rocm_version(text)})),
    Family("modinfo", ("modinfo/",), lambda text: flat({"module": parse_module_version(text)})),
)
