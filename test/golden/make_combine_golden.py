"""Writes combine.json beside it: factors that PEFT's add_weighted_adapter makes. Run: python make_combine_golden.py"""
import json
import os

import peft
import torch
from peft import LoraConfig, get_peft_model

torch.manual_seed(11)
IN, OUT, R = 5, 4, 3
ALPHAS = {'a': 6, 'b': 1.5, 'c': 3}
model = get_peft_model(torch.nn.Sequential(torch.nn.Linear(IN, OUT)), LoraConfig(r=R, lora_alpha=6, target_modules=['0']), 'a')
for name in ('b', 'c'):
    model.add_adapter(name, LoraConfig(r=R, lora_alpha=ALPHAS[name], target_modules=['0']))
layer = model.base_model.model[0]


def flat(t):
    return t.detach().flatten().tolist()


parts = []
for name in ALPHAS:
    layer.lora_A[name].weight.data.normal_()
    layer.lora_B[name].weight.data.normal_()
    parts.append({'A': flat(layer.lora_A[name].weight), 'B': flat(layer.lora_B[name].weight), 'scaling': layer.scaling[name]})
CASES = [
    ('linear', [0.5, 0.5, 1], {}),
    ('linear', [1, -0.5, 0.25], {}),
    ('ties', [0.5, 1, 0.7], {'density': 0.5}),
    ('ties', [1, -0.5, 0.7], {'density': 0.7, 'majority_sign_method': 'frequency'}),
]
cases = []
for n, (kind, weights, options) in enumerate(CASES):
    model.add_weighted_adapter(list(ALPHAS), weights, f'new{n}', combination_type=kind, **options)
    new = f'new{n}'
    cases.append({'kind': kind, 'weights': weights, 'density': options.get('density', 1),
                  'sign': options.get('majority_sign_method', 'total'), 'scaling': layer.scaling[new],
                  'A': flat(layer.lora_A[new].weight), 'B': flat(layer.lora_B[new].weight)})
out = {'versions': {'peft': peft.__version__, 'torch': torch.__version__}, 'in': IN, 'out': OUT, 'r': R, 'parts': parts, 'cases': cases}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'combine.json'), 'w') as f:
    json.dump(out, f, indent=1)
    f.write('\n')
