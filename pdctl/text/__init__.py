"""How things are said in words: events, figures, durations, remote text. Pure; shared by every view."""
