"""A fine-tuning step on the GPU in PyTorch, transformers and PEFT, for BenchmarkCard: one step for each line of input, one line of JSON for each.

usage: card_peer.py MODEL ADAPTER BATCHES LR
BATCHES is a JSON list of steps, each a list of micro-batches, each a list of rows of token ids. The base is bfloat16, LoRA float32, attention
SDPA, activations are checkpointed. Without a GPU it runs on the CPU, which rehearses the commands and measures nothing.
"""

import json
import sys
import time

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

folder, adapter, batches, rate = sys.argv[1:]
device = "cuda" if torch.cuda.is_available() else "cpu"
torch.backends.cuda.matmul.allow_tf32 = True
model = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.bfloat16, attn_implementation="sdpa").to(device)
model = PeftModel.from_pretrained(model, adapter, is_trainable=True).to(device)
model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
model.enable_input_require_grads()
model.train()
trained = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=float(rate), betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, fused=device == "cuda")
steps = [[torch.tensor(rows, device=device) for rows in step] for step in json.load(open(batches))]


def say(**answer):
    print(json.dumps(answer), flush=True)


say(
    parameters=sum(p.numel() for p in trained),
    types=sorted({str(p.dtype) for p in trained}),
    device=torch.cuda.get_device_name() if device == "cuda" else "cpu: a rehearsal",
    versions="torch " + torch.__version__,
)
for step, _ in zip(steps, sys.stdin):
    began, total = time.perf_counter(), 0.0
    for rows in step:
        loss = model(input_ids=rows, labels=rows, use_cache=False).loss / len(step)
        loss.backward()
        total += loss.detach()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    value = float(total)  # waits for the card
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else 0
    say(loss=value, seconds=time.perf_counter() - began, peak=peak)
