"""The same training step in PyTorch, for BenchmarkTraining: one step for each line of input, one line of JSON for each step.

usage: peer.py MODEL ADAPTER BATCHES THREADS LR
ADAPTER is a PEFT folder to train, or "-" to train every weight of MODEL. BATCHES is a JSON list of steps, each a list of rows of token ids.
"""

import json
import sys
import time

import torch
from transformers import AutoModelForCausalLM

folder, adapter, batches, threads, rate = sys.argv[1:]
torch.set_num_threads(int(threads))
torch.set_num_interop_threads(1)
model = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32, attn_implementation="sdpa")
if adapter != "-":
    from peft import PeftModel

    model = PeftModel.from_pretrained(model, adapter, is_trainable=True)
model.train()
trained = [p for p in model.parameters() if p.requires_grad]
# One kernel for all of AdamW, the fastest that PyTorch has on the CPU.
optimizer = torch.optim.AdamW(trained, lr=float(rate), betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, fused=True)
steps = [torch.tensor(rows) for rows in json.load(open(batches))]


def say(**answer):
    print(json.dumps(answer), flush=True)


say(
    parameters=sum(p.numel() for p in trained),
    threads=torch.get_num_threads(),
    capability=torch.backends.cpu.get_cpu_capability(),
    mkl=torch.backends.mkl.is_available(),
    onednn=torch.backends.mkldnn.is_available(),
    versions="torch " + torch.__version__,
)
for step, _ in zip(steps, sys.stdin):
    wall, cpu = time.perf_counter(), time.process_time()
    # Neither a mask nor a cache: attention is then PyTorch's fused causal kernel.
    loss = model(input_ids=step, labels=step, use_cache=False).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    value = loss.item()
    say(loss=value, seconds=time.perf_counter() - wall, cpu=time.process_time() - cpu)
