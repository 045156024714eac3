"""Encodes documents with tiktoken or tokenizers: peer.py TOKENIZER.json TEXTS.json.

Each line of the input names one of them; the answer, in JSON, is the time in seconds and the SHA-256 of
the ids as decimal lines. The first line says the versions."""
import hashlib
import json
import sys
import time

import tiktoken
import tokenizers


def byte_of_character():
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    shifted = [b for b in range(256) if b not in plain]
    return {**{chr(b): b for b in plain}, **{chr(256 + i): b for i, b in enumerate(shifted)}}


with open(sys.argv[1], encoding="utf-8") as f:
    document = json.load(f)
with open(sys.argv[2], encoding="utf-8") as f:
    texts = json.load(f)
alphabet = byte_of_character()
ranks = {bytes(alphabet[c] for c in token): rank for token, rank in document["model"]["vocab"].items()}
pattern = document["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
tik = tiktoken.Encoding("bench", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
hub = tokenizers.Tokenizer.from_file(sys.argv[1])


def digest(ids):
    return hashlib.sha256("".join(f"{i}\n" for i in ids).encode()).hexdigest()


def tiktoken_ids():
    return [tik.encode_ordinary(t) for t in texts]


def tokenizers_ids():
    return [hub.encode(t, add_special_tokens=False) for t in texts]


seen = {}
print(json.dumps({"versions": f"tiktoken {tiktoken.__version__}, tokenizers {tokenizers.__version__}"}), flush=True)
for line in sys.stdin:
    name = line.strip()
    encode = {"tiktoken": tiktoken_ids, "tokenizers": tokenizers_ids}[name]
    start = time.perf_counter()
    out = encode()
    seconds = time.perf_counter() - start
    if name not in seen:
        seen[name] = digest(i for ids in out for i in (ids if name == "tiktoken" else ids.ids))
    print(json.dumps({"seconds": seconds, "digest": seen[name]}), flush=True)
