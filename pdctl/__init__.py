"""pdctl: a terminal control plane for prefill/decode disaggregated LLM serving on bare-metal GPU nodes."""

__version__ = "0.1.0"
