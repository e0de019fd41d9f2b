"""The other side of the round trip: real PEFT loads what lora-wasm saved, and saves adapters for it to load.

Run by main.ts: python peft_side.py FOLDER
FOLDER/cases.json           the configurations, fields of LoraConfig
FOLDER/ours/<form>/<case>/  base.safetensors, adapter/, io.safetensors (ids, y): PEFT's output must agree with y
FOLDER/theirs/<case>/       is made: the same files, of an adapter that PEFT made and trained
Prints one line of JSON for each: {"case", "what", "difference": largest over the largest output} or with "refused": why
"""
import json, os, sys, warnings
import torch, torch.nn as nn
from safetensors.torch import load_file, save_file
from peft import LoraConfig, PeftModel, get_peft_model
from transformers.pytorch_utils import Conv1D

torch.manual_seed(5)
torch.set_num_threads(1)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(5, 5)
        self.gate = nn.Linear(5, 5, bias=False)

    def forward(self, x):
        return x + self.gate(torch.tanh(self.proj(x)))


class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self.h = nn.ModuleList([Block(), Block()])

    def forward(self, x):
        for block in self.h:
            x = block(x)
        return x


class Net(nn.Module):
    """The model of random-adapters.ts."""

    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(9, 6)
        self.norm = nn.LayerNorm(6)
        self.conv = nn.Conv2d(2, 4, 3, padding=1, groups=2)
        self.plain = nn.Conv2d(4, 4, (3, 2), stride=(2, 1))
        self.fc = Conv1D(5, 4)
        self.square = Conv1D(5, 5)
        self.layers = nn.ModuleList([Block(), Block()])
        self.body = Body()
        self.prehead = nn.Linear(5, 5)
        self.head = nn.Linear(5, 3)

    def forward(self, ids):
        images = torch.tanh(self.conv(self.norm(self.wte(ids))))
        x = torch.tanh(self.square(torch.tanh(self.fc(torch.tanh(self.plain(images)).mean((2, 3))))))
        for block in self.layers:
            x = block(x)
        return self.head(torch.tanh(self.prehead(self.body(x))))


def base_of(folder):
    net = Net()
    net.load_state_dict(load_file(os.path.join(folder, 'base.safetensors')))
    return net.eval()


def tell(case, what, said):
    print(json.dumps({'case': case, 'what': what, **said}), flush=True)


def load(here):
    """How far PEFT's output is from what lora-wasm computed; keys that PEFT misses are a refusal."""
    io = load_file(os.path.join(here, 'io.safetensors'))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        model = PeftModel.from_pretrained(base_of(here), os.path.join(here, 'adapter')).eval()
    missing = [str(w.message) for w in caught if 'missing' in str(w.message)]
    if missing:
        return {'refused': missing[0]}
    with torch.no_grad():
        y = model(io['ids'].long())
    return {'difference': ((y - io['y']).abs().max() / io['y'].abs().max()).item()}


def make(here, config):
    """An adapter that PEFT made and can load again: a step with dropout, and a push that no parameter is left out of."""
    net = Net().eval()
    for p in net.parameters():
        p.data.copy_(torch.randn_like(p) * 0.5)
    base = {k: v.clone().contiguous() for k, v in net.state_dict().items()}
    model = get_peft_model(net, LoraConfig(**config))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.05)
    ids = torch.randint(0, 9, (3, 2, 5))
    ((model.train()(ids) - 1) ** 2).mean().backward()
    optimizer.step()
    for p in trained:
        p.data.add_(torch.randn_like(p) * 0.3)
    os.makedirs(here)
    model.save_pretrained(os.path.join(here, 'adapter'))
    save_file(base, os.path.join(here, 'base.safetensors'))
    # As PEFT loads it again, which some it cannot: it sorts the keys of patterns when it saves them, and the first counts.
    with torch.no_grad():
        y = PeftModel.from_pretrained(base_of(here), os.path.join(here, 'adapter')).eval()(ids)
    save_file({'ids': ids.int(), 'y': y.contiguous()}, os.path.join(here, 'io.safetensors'))
    return {}


def attempt(case, what, run):
    try:
        tell(case, what, run())
    except Exception as error:
        tell(case, what, {'refused': f'{type(error).__name__}: {error}'})


folder = sys.argv[1]
warnings.simplefilter('ignore')
for form in sorted(os.listdir(os.path.join(folder, 'ours'))):
    for case in sorted(os.listdir(os.path.join(folder, 'ours', form))):
        attempt(int(case), form, lambda: load(os.path.join(folder, 'ours', form, case)))
for index, config in enumerate(json.load(open(os.path.join(folder, 'cases.json')))):
    attempt(index, 'made', lambda: make(os.path.join(folder, 'theirs', str(index)), config))
