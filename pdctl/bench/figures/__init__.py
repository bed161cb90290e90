"""Rows of requests -> the figures that the field reports. Pure."""
