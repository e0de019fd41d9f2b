"""Writes combine_svd.json beside it: what PEFT's add_weighted_adapter makes on deltas of every kind of layer (their
best approximation is unique, its factors are not: B·A is kept), pruned factors, and clamped ones with those before.
Run: python make_combine_svd_golden.py"""
import json
import os

import peft
import torch
from peft import LoraConfig, get_peft_model

torch.manual_seed(29)
R, ALPHAS = 3, {'a': 6, 'b': 1.5, 'c': 3}


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(6, 5)
        self.embedding = torch.nn.Embedding(7, 5)
        self.conv = torch.nn.Conv2d(3, 5, (2, 1))


LAYERS = ['linear', 'embedding', 'conv']
model = get_peft_model(Net(), LoraConfig(r=R, lora_alpha=6, target_modules=LAYERS), 'a')
for name in ('b', 'c'):
    model.add_adapter(name, LoraConfig(r=R, lora_alpha=ALPHAS[name], target_modules=LAYERS))


def flat(t):
    return [float(f'{v:.9g}') for v in t.detach().flatten().tolist()]


def factors(layer, name):
    if name in layer.lora_A:
        return layer.lora_A[name].weight, layer.lora_B[name].weight
    return layer.lora_embedding_A[name], layer.lora_embedding_B[name]


def layer_of(name):
    return getattr(model.base_model.model, name)


parts = {}
for layer in LAYERS:
    parts[layer] = {}
    for name in ALPHAS:
        A, B = factors(layer_of(layer), name)
        A.data.normal_()
        B.data.normal_()
        parts[layer][name] = {'A': flat(A), 'B': flat(B)}
CASES = [
    ('svd', [0.5, -1, 2], {'svd_rank': 2}),
    ('ties_svd', [0.5, 1, 0.7], {'density': 0.5}),
    ('ties_svd', [1, -0.5, 0.7], {'density': 0.7, 'majority_sign_method': 'frequency', 'svd_rank': 2}),
    ('magnitude_prune_svd', [1, -0.5, 0.7], {'density': 0.4}),
    ('magnitude_prune_svd', [1, 1, 1], {'density': 1, 'svd_rank': 4}),
    ('magnitude_prune', [0.5, -1, 2], {'density': 0.6}),
]
cases = []
for n, (kind, weights, options) in enumerate(CASES):
    model.add_weighted_adapter(list(ALPHAS), weights, f'new{n}', combination_type=kind, **options)
    cases.append({'kind': kind, 'weights': weights, 'density': options.get('density'), 'sign': options.get('majority_sign_method', 'total'),
                  'rank': options.get('svd_rank'), 'deltas': {layer: flat(layer_of(layer).get_delta_weight(f'new{n}')) for layer in LAYERS}})
clamps = []
for quantile in (0.9, 0.55, 0.02):
    name = f'clamped{quantile}'.replace('.', '_')
    model.add_weighted_adapter(list(ALPHAS), [1, 1, 1], name, combination_type='svd', svd_clamp=quantile)
    model.add_weighted_adapter(list(ALPHAS), [1, 1, 1], f'un{name}', combination_type='svd')
    (A, B), (A0, B0) = factors(layer_of('linear'), name), factors(layer_of('linear'), f'un{name}')
    clamps.append({'quantile': quantile, 'before': {'A': flat(A0), 'B': flat(B0)}, 'after': {'A': flat(A), 'B': flat(B)}})
out = {'versions': {'peft': peft.__version__, 'torch': torch.__version__}, 'r': R, 'alphas': ALPHAS, 'parts': parts, 'cases': cases, 'clamps': clamps}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'combine_svd.json'), 'w') as f:
    json.dump(out, f)
    f.write('\n')
