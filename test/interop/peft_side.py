"""The other side of the round trip: real PEFT loads what lora-wasm saved, and saves adapters for it to load.

Run by main.ts: python peft_side.py FOLDER CONFIGS
FOLDER/ours/<case>/   base.safetensors, adapter/, io.safetensors (ids, y): PEFT's output must agree with y
FOLDER/theirs/<case>/ is made: the same files, of an adapter that PEFT made
Prints one line of JSON a case: {"case": ..., "difference": largest difference over the largest output}
"""
import json, os, sys, warnings
import torch, torch.nn as nn
from safetensors.torch import load_file, save_file
from peft import LoraConfig, PeftModel, get_peft_model
from transformers.pytorch_utils import Conv1D

warnings.filterwarnings('ignore')
torch.manual_seed(5)
torch.set_num_threads(1)


class Net(nn.Module):
    """The model of net.ts."""

    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(9, 6)
        self.norm = nn.LayerNorm(6)
        self.conv = nn.Conv2d(2, 4, 3, padding=1, groups=2)
        self.plain = nn.Conv2d(4, 4, (3, 2), stride=(2, 1))
        self.fc = Conv1D(5, 4)
        self.head = nn.Linear(5, 3)

    def forward(self, ids):
        images = torch.tanh(self.conv(self.norm(self.wte(ids))))
        return self.head(torch.tanh(self.fc(torch.tanh(self.plain(images)).mean((2, 3)))))


def base_of(folder):
    net = Net()
    net.load_state_dict(load_file(os.path.join(folder, 'base.safetensors')))
    return net.eval()


folder, configs = sys.argv[1], json.load(open(sys.argv[2]))
for case in sorted(os.listdir(os.path.join(folder, 'ours'))):
    here = os.path.join(folder, 'ours', case)
    io = load_file(os.path.join(here, 'io.safetensors'))
    model = PeftModel.from_pretrained(base_of(here), os.path.join(here, 'adapter')).eval()
    with torch.no_grad():
        y = model(io['ids'].long())
    print(json.dumps({'case': case, 'difference': ((y - io['y']).abs().max() / io['y'].abs().max()).item()}), flush=True)

for index, config in enumerate(configs):
    here = os.path.join(folder, 'theirs', str(index))
    os.makedirs(here)
    net = Net().eval()
    for p in net.parameters():
        p.data.copy_(torch.randn_like(p) * 0.5)
    save_file({k: v.clone().contiguous() for k, v in net.state_dict().items()}, os.path.join(here, 'base.safetensors'))
    model = get_peft_model(net, LoraConfig(**config))
    for p in model.parameters():
        if p.requires_grad:
            p.data.add_(torch.randn_like(p) * 0.3)
    model.save_pretrained(os.path.join(here, 'adapter'))
    ids = torch.randint(0, 9, (3, 2, 5))
    with torch.no_grad():
        y = model.eval()(ids)
    save_file({'ids': ids.int(), 'y': y.contiguous()}, os.path.join(here, 'io.safetensors'))
