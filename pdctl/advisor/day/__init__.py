"""What-if days: the rebalancing policy and what it is compared with, played on a virtual fleet."""
