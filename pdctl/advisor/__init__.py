"""Ratio search, rebalancing policy, explanations. Pure."""
