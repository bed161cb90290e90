"""`pdctl bench`: one file a command."""
