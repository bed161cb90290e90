"""Floor 2, pure: what is wanted x what was seen -> steps, with the reason of each. No I/O, no clock."""
