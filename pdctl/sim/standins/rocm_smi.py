"""`rocm-smi --showmeminfo vram | --showpids | --showproductname | --version, with --json`: every value is a string."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from pdctl.sim.standins import facts


def run(argv: Sequence[str]) -> tuple[str, int]:
    """The output of `rocm-smi argv...` and its exit status."""
    if "--version" in argv:
        return f"ROCM-SMI version: 4.0.0+sim\nROCM-SMI-LIB version: 7.8.0\nROCm version: {facts.ROCM_VERSION}\n", 0
    cards: dict[str, dict[str, str]] = {f"card{gpu.number}": {} for gpu in facts.gpus()}
    if "--showmeminfo" in argv:
        for gpu in facts.gpus():
            cards[f"card{gpu.number}"] |= {
                "VRAM Total Memory (B)": str(facts.VRAM_TOTAL_BYTES),
                "VRAM Total Used Memory (B)": str(gpu.used_bytes),
            }
    if "--showproductname" in argv:
        for card in cards.values():
            card |= {"Card Series": "AMD Instinct MI300X", "Card Vendor": "Advanced Micro Devices Inc. [AMD/ATI]"}
    answer: dict[str, dict[str, str]] = {name: card for name, card in cards.items() if card}
    if "--showpids" in argv:
        held: dict[int, list[int]] = {}
        for gpu in facts.gpus():
            for pid, used in gpu.processes:
                held.setdefault(pid, []).append(used)
        answer["system"] = {f"PID{pid}": f"python3, {len(used)}, {sum(used)}, 0, 0" for pid, used in held.items()}
    if "--json" in argv:
        return (json.dumps(answer) + "\n" if answer else "WARNING: No JSON data to report\n"), 0
    lines = [
        f"{name.upper().replace('CARD', 'GPU[')}]\t\t: {key}: {text}"
        for name, card in answer.items()
        for key, text in card.items()
    ]
    return "\n".join(lines) + "\n", 0


def main() -> None:
    text, status = run(sys.argv[1:])
    sys.stdout.write(text)
    sys.exit(status)
