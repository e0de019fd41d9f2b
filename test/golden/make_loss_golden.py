"""Writes loss.json beside it: cross-entropy of a head over hidden rows as PyTorch computes it, in float64, with gradients.
Run: python make_loss_golden.py"""
import json
import os

import torch
from torch.nn.functional import cross_entropy, linear

torch.manual_seed(43)
torch.set_default_dtype(torch.float64)


def numbers(t):
    return [float(f'{v:.8g}') for v in t.detach().flatten().tolist()]


def draw(*shape, scale=1.0):
    # Values of float32: what both sides begin with.
    return (scale * torch.randn(*shape)).float().double().requires_grad_()


def head(rows, width, classes, masked, reduction, r=None):
    tensors = {'hidden': draw(*rows, width), 'weight': draw(classes, width)}
    labels = torch.randint(0, classes, rows)
    labels.view(-1)[masked] = -100
    logits = linear(tensors['hidden'], tensors['weight'])
    scaling = 2.0
    if r is not None:
        tensors |= {'A': draw(r, width), 'B': draw(classes, r, scale=0.3)}
        logits = logits + scaling * linear(linear(tensors['hidden'], tensors['A']), tensors['B'])
    loss = cross_entropy(logits.view(-1, classes), labels.view(-1), reduction=reduction)
    loss.backward()
    inputs = {name: {'shape': list(t.shape), 'data': numbers(t), 'grad': numbers(t.grad)} for name, t in tensors.items()}
    return {'inputs': inputs, 'labels': labels.flatten().tolist(), 'reduction': reduction, 'scaling': scaling, 'loss': loss.item()}


golden = [
    head((2, 5), 6, 11, [0, 1, 5, 9], 'mean'),
    head((7,), 4, 3, [], 'sum'),
    head((3, 30), 8, 5, list(range(0, 90, 7)), 'mean', r=2),
    head((1, 9), 6, 12, [2, 3], 'sum', r=3),
]
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'loss.json'), 'w') as file:
    json.dump({'torch': torch.__version__, 'cases': golden}, file)
