"""Tool outputs to records, one file per tool: pure, tolerant, and never a pass that the output does not show."""
