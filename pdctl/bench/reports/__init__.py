"""What was measured, to read: terminal, HTML, CSV, JSON."""
