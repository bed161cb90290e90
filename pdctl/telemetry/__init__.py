"""Live figures: metrics text -> samples -> per-target history -> windows -> pool figures -> one Snapshot per tick.

`families` says which metrics are used, `scan` reads them, `meter` keeps one target's history, `histogram` turns buckets
to intervals. Everything here but the sources is pure, with clocks passed in.
"""
