"""Writes dora_groups.json beside it: DoRA over convolutions with groups as PEFT computes it. PEFT reads B [out, r/groups]
as [out/groups, r] in its norm, and refuses to merge such layers: what merging must keep is the output.
Run: python make_dora_groups_golden.py"""
import json
import os
import warnings

import peft
import torch
from peft import LoraConfig, get_peft_model

warnings.filterwarnings('ignore')
torch.manual_seed(23)
CASES = [(2, 2, 3, {}), (2, 6, (1, 2), {'stride': (2, 1), 'padding': (0, 1)}), (4, 4, 1, {}), (4, 8, (2, 1), {'bias': False})]
IN, OUT, ALPHA = 4, 8, 3


def numbers(t):
    return [float(f'{v:.9g}') for v in t.detach().flatten().tolist()]


cases = []
for groups, r, kernel, options in CASES:
    conv = torch.nn.Conv2d(IN, OUT, kernel, groups=groups, **options)
    model = get_peft_model(torch.nn.Sequential(conv), LoraConfig(r=r, lora_alpha=ALPHA, target_modules=['0'], use_dora=True))
    layer = model.base_model.model[0]
    A, B = layer.lora_A['default'].weight, layer.lora_B['default'].weight
    m = layer.lora_magnitude_vector['default'].weight
    fresh = numbers(m)
    B.data.normal_(std=0.4)
    m.data.mul_(torch.rand_like(m) + 0.5)
    x = torch.randn(2, IN, 4, 3, requires_grad=True)
    y = model(x)
    weights = torch.randn_like(y)
    (y * weights).sum().backward()
    cases.append({
        'groups': groups, 'r': r, 'alpha': ALPHA, 'in': IN, 'out': OUT, 'kernel': list(conv.kernel_size),
        'stride': list(conv.stride), 'padding': list(conv.padding), 'bias': None if conv.bias is None else numbers(layer.base_layer.bias),
        'weight': numbers(layer.base_layer.weight), 'A': numbers(A), 'B': numbers(B), 'freshMagnitude': fresh, 'magnitude': numbers(m),
        'x': numbers(x), 'shape': list(y.shape), 'y': numbers(y), 'dy': numbers(weights),
        'grad': {'x': numbers(x.grad), 'A': numbers(A.grad), 'B': numbers(B.grad), 'magnitude': numbers(m.grad)},
    })
out = {'versions': {'peft': peft.__version__, 'torch': torch.__version__}, 'cases': cases}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'dora_groups.json'), 'w') as f:
    json.dump(out, f)
    f.write('\n')
