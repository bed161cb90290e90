"""Floor 6: workloads, load generation and the figures drawn from them."""
