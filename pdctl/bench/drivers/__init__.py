"""Who sends the load: the built-in client and tools that are installed elsewhere."""
