"""The product from end to end: the real command, the real router, simulated nodes that are processes of their own."""
