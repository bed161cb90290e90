"""One file per command. Each is imported only when it is asked for."""
