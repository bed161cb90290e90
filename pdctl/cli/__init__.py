"""Floor 7: the click commands, and the views of the event stream that they show."""
