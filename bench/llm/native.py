"""Native PyTorch with PEFT: steps of LoRA training over the weights of a GGUF file, asked line by line in JSON over stdin."""

import json
import os
import re
import sys
import time

# What libraries print must not lie between the answers.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import peft
import torch
import transformers


def say(value):
    print(json.dumps(value), file=answers, flush=True)


class Learner:
    """The model, expanded to float32, with the adapter of a folder that trains on."""

    def __init__(self, path, adapter):
        folder, name = os.path.split(os.path.abspath(path))
        base = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
        self.model = peft.PeftModel.from_pretrained(base, adapter, is_trainable=True).train()
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.adam = None

    def prepare(self, ids, settings):
        self.ids = torch.tensor([ids])
        self.clip = settings["clipNorm"]
        self.adam = torch.optim.AdamW(
            self.parameters,
            lr=settings["lr"],
            betas=tuple(settings["betas"]),
            eps=settings["eps"],
            weight_decay=settings["weightDecay"],
            fused=True,
        )

    def step(self):
        start = time.perf_counter()
        self.adam.zero_grad()
        loss = self.model(input_ids=self.ids, labels=self.ids, use_cache=False).loss
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.adam.step()
        return {"loss": loss.item(), "norm": norm.item(), "ms": (time.perf_counter() - start) * 1000}


def resident():
    """Most bytes that lay in memory: as Linux counts this process alone, or null."""
    try:
        with open("/proc/self/status") as status:
            return 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", status.read())[1])
    except OSError:
        return None


def main():
    path, adapter, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    learner = Learner(path, adapter)
    versions = f"torch {torch.__version__}, peft {peft.__version__}, transformers {transformers.__version__}"
    say({"version": versions, "threads": torch.get_num_threads()})
    for line in sys.stdin:
        question = json.loads(line)
        if question["ask"] == "prepare":
            answer = learner.prepare(question["ids"], question["settings"])
        else:
            answer = learner.step() if question["ask"] == "step" else resident()
        say({"answer": answer})


main()
