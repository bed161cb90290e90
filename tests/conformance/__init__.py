"""What holds of any engine that pdctl drives: of the simulated one (tests/wire) and of real vLLM (tests/real).

The same functions run against both, so the simulated engine cannot drift away from what it stands for. Each takes an
engine that serves the model `tiny` with at least 1024 tokens of context and blocks of 32 tokens, its KV connector NIXL.
"""
