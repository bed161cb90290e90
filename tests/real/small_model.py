"""Makes a Llama whose steps take longer than what is around them; run by vLLM's own Python.

`small_model.py TINY DIRECTORY` writes it there. The tiny model computes a step in less time than the API server and the
client need for its tokens: its timings are theirs. Of this one (10 million random weights) a step of one sequence takes
milliseconds, and a prompt token about as long as on a large model beside a step. Tokenizer and vocabulary are TINY's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM


def main() -> None:
    tiny, directory = Path(sys.argv[1]), Path(sys.argv[2])
    AutoTokenizer.from_pretrained(tiny).save_pretrained(directory)
    torch.manual_seed(20)
    config = LlamaConfig.from_pretrained(tiny)
    config.update(
        {
            "hidden_size": 384,
            "intermediate_size": 1024,
            "num_hidden_layers": 6,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
            "head_dim": 64,
            "initializer_range": 0.05,
        }
    )
    LlamaForCausalLM(config).to(torch.float32).save_pretrained(directory)


if __name__ == "__main__":
    main()
