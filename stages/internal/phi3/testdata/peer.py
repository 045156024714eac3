"""Prefill and decoding in transformers, for BenchmarkInference: for each line of input one pass, one line of JSON for each pass.

usage: peer.py MODEL THREADS PROMPT DECODED
PROMPT is the number of tokens of the prompt, DECODED of those after it.
"""

import json
import sys
import time

import torch
from transformers import AutoModelForCausalLM, DynamicCache

folder, threads, prompt, decoded = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(threads)
torch.set_num_interop_threads(1)
model = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32, attn_implementation="sdpa").eval()
tokens = torch.tensor([[(i * 31 + 7) % model.config.vocab_size for i in range(prompt)]])


def say(**answer):
    print(json.dumps(answer), flush=True)


say(threads=torch.get_num_threads(), capability=torch.backends.cpu.get_cpu_capability(), versions="torch " + torch.__version__)
with torch.inference_mode():
    for _ in sys.stdin:
        cache = DynamicCache()
        start = time.perf_counter()
        # Only the last logits, as in generation.
        logits = model(input_ids=tokens, past_key_values=cache, use_cache=True, num_logits_to_keep=1).logits[0, -1]
        prefill = time.perf_counter() - start
        first = logits.tolist()
        ids = []
        start = time.perf_counter()
        for _ in range(decoded):
            ids.append(int(logits.argmax()))
            logits = model(input_ids=torch.tensor([[ids[-1]]]), past_key_values=cache, use_cache=True, num_logits_to_keep=1).logits[0, -1]
        say(prefill=prefill, decode=time.perf_counter() - start, logits=first, ids=ids)
