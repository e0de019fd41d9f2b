"""PyTorch with PEFT, asked line by line in JSON over stdin: prepare, run, read, loss, time, dispose."""

import base64
import json
import sys
import time

import peft
import torch


def decode(text, *shape):
    raw = bytearray(base64.b64decode(text))
    return torch.frombuffer(raw, dtype=torch.float32).reshape(*shape).clone()


def encode(tensor):
    return base64.b64encode(tensor.detach().contiguous().numpy().tobytes()).decode()


class Net(torch.nn.Module):
    def __init__(self, n, k):
        super().__init__()
        self.layer = torch.nn.Linear(k, n)

    def forward(self, x):
        return self.layer(x)


class Operation:
    """One operation over one problem."""

    def __init__(self, p):
        m, n, k, r = p["M"], p["N"], p["K"], p["r"]
        self.step = p["operation"] == "LoRA training step"
        self.x = decode(p["x"], m, k).requires_grad_(self.step)
        self.target = decode(p["target"], m, n)
        self.net = Net(n, k)
        with torch.no_grad():
            self.net.layer.weight.copy_(decode(p["w"], n, k))
            self.net.layer.bias.copy_(decode(p["bias"], n))
        if p["operation"] != "linear forward":
            config = peft.LoraConfig(r=r, lora_alpha=r * p["scaling"], lora_dropout=0, target_modules=["layer"])
            self.net = peft.get_peft_model(self.net, config)
            layer = self.net.base_model.model.layer
            self.a, self.b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
            with torch.no_grad():
                self.a.copy_(decode(p["a"], r, k))
                self.b.copy_(decode(p["b"], n, r))
        if self.step:
            self.adam = torch.optim.AdamW([self.a, self.b], lr=p["rate"], weight_decay=0.01, fused=True)
        self.y = None

    def gradients(self):
        for leaf in (self.x, self.a, self.b):
            leaf.grad = None
        torch.nn.functional.mse_loss(self.net(self.x), self.target).backward()

    def run(self):
        if self.step:
            self.gradients()
            self.adam.step()
        else:
            with torch.inference_mode():
                self.y = self.net(self.x)

    def read(self):
        if not self.step:
            return {"y": encode(self.y)}
        self.gradients()
        return {"da": encode(self.a.grad), "db": encode(self.b.grad), "dx": encode(self.x.grad)}

    def loss(self):
        with torch.no_grad():
            return torch.nn.functional.mse_loss(self.net(self.x), self.target).item()

    def time(self, ms):
        """Median of the calls within `ms`, one at least."""
        times = []
        start = time.perf_counter()
        while not times or (time.perf_counter() - start) * 1000 < ms:
            before = time.perf_counter()
            self.run()
            times.append((time.perf_counter() - before) * 1000)
        times.sort()
        middle = len(times) // 2
        return times[middle] if len(times) % 2 else (times[middle - 1] + times[middle]) / 2


def main():
    torch.set_num_threads(int(sys.argv[1]))
    versions = {"version": f"torch {torch.__version__}, peft {peft.__version__}", "threads": torch.get_num_threads()}
    print(json.dumps(versions), flush=True)
    held = {}
    for line in sys.stdin:
        ask = json.loads(line)
        what, at = ask["ask"], ask["id"]
        if what == "prepare":
            held[at] = Operation(ask["problem"])
            answer = None
        elif what == "dispose":
            del held[at]
            answer = None
        elif what == "time":
            answer = held[at].time(ask["ms"])
        else:
            answer = getattr(held[at], what)()
        print(json.dumps({"answer": answer}), flush=True)


main()
