"""Engines, pure: from an instance to argv, environment, ports and probes. One file per engine, one per connector."""
