"""What each action of a plan does: one handler per file, each a coroutine from a Step to the details of its event."""
