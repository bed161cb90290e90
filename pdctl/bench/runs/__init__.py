"""Runs that outlive their process: directory, resume, campaigns over deployments."""
