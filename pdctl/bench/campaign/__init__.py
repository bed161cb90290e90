"""Deployments one after another on the same nodes: up, proved, measured, down."""
