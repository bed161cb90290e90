"""Floor 0: what a cluster is made of. Frozen dataclasses and enums; no I/O, no asyncio, nothing from upper floors."""
