"""`pdctl advise`: one file a command."""
