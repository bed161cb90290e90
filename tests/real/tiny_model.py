"""Makes the model of these tests: a tiny Llama with random weights and a byte-level BPE. Run by vLLM's own Python.

`tiny_model.py DIRECTORY` writes it there, the same bytes every time; nothing is downloaded. Three things matter:

- Model and tokenizer have one vocabulary, and only tokens that are ASCII text can win: else text comes out empty.
- Weights are large enough that attention, not the last token's own embedding, decides what comes next. So the text is
  a fingerprint of the KV cache: another prompt's KV gives another text.
- float32, so that a prompt computed at once and one computed token by token do not part over a rounding.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SENTENCES = (
    "The prefill node reads the whole prompt and the decode node writes one token after another.",
    "A router picks a pair of engines for every request, and the cache moves from one to the other.",
    "Nodes go home at night when nobody asks them anything, and wake up for the first question.",
    "Every number from one to thirty two, and every letter of the alphabet, has been here before.",
)
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
VOCABULARY = 512
CHAT_TEMPLATE = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"


def main() -> None:
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(SENTENCES, vocab_size=VOCABULARY, min_frequency=1, special_tokens=list(SPECIAL))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(directory)
    torch.manual_seed(20)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        initializer_range=0.2,
        tie_word_embeddings=False,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config).to(torch.float32)
    with torch.no_grad():
        for token in range(len(tokenizer)):
            text = tokenizer.decode([token], skip_special_tokens=True)
            if not (text.strip() and text.isascii() and text.isprintable()):
                model.lm_head.weight[token] = 0.0  # its logit is 0: some other token's is higher
    model.save_pretrained(directory)


if __name__ == "__main__":
    main()
