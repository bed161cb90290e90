"""Floor 5: use cases, and the one loop with effects. Everything that decides is on the floors below; this executes."""
