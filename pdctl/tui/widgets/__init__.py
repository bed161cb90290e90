"""What several screens show: drawn line by line, so that a tick costs what changed."""
