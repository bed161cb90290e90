"""Stand-ins for the tools that AMD GPU nodes have. Stdlib only and quick to start: health checks run dozens of them.

Output is of the project's own making, in the formats of ROCm 7 (amd-smi 26.x), rocm-smi, iproute2's rdma, rdma-core
and ethtool. What varies from node to node is derived from the node's name; memory in use is read from the files that
simulated engines write.
"""
