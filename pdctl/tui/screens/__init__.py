"""One module a view; `pdctl.tui.views` names them, and each is imported when it is first shown."""
