"""Floor 1: what the operator wrote. Read, checked, placed, selected from, and edited in place."""
