"""Sweeps of one phase over widths and concurrencies, on nodes where nothing runs."""
