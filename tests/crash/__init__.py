"""Crash points: use cases on a cluster in memory, interrupted at every call."""

import pytest

pytest.register_assert_rewrite("tests.crash.scenario")
