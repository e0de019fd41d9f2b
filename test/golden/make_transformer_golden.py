"""Writes transformer.json beside it: the parts of a language model as PyTorch and transformers compute them, in float64, with gradients.
Run: python make_transformer_golden.py"""
import json
import os

import torch
from torch.nn.functional import embedding, rms_norm, scaled_dot_product_attention, silu
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb, repeat_kv

torch.manual_seed(31)
torch.set_default_dtype(torch.float64)


def numbers(t):
    return [float(f'{v:.8g}') for v in t.detach().flatten().tolist()]


def draw(*shape):
    # Values of float32: what both sides begin with.
    return torch.randn(*shape).float().double().requires_grad_()


def finish(inputs, y, **more):
    dy = torch.randn_like(y).float().double()
    (y * dy).sum().backward()
    case = {name: {'shape': list(t.shape), 'data': numbers(t), 'grad': numbers(t.grad)} for name, t in inputs.items()}
    return {'inputs': case, 'y': numbers(y), 'dy': numbers(dy), **more}


def rms():
    x, weight = draw(2, 3, 10), draw(10)
    return finish({'x': x, 'weight': weight}, rms_norm(x, (10,), weight, 1e-5), eps=1e-5)


def swiglu():
    gate, up = draw(3, 9), draw(3, 9)
    return finish({'gate': gate, 'up': up}, silu(gate) * up)


def rotate(heads, dim, theta, positions, factors):
    x = draw(1, len(positions), heads * dim)
    frequency = theta ** (-torch.arange(0, dim, 2) / dim) / torch.tensor(factors)
    angle = torch.tensor(positions, dtype=torch.float64)[:, None] * frequency
    angle = torch.cat([angle, angle], -1)[None]
    split = x.view(1, len(positions), heads, dim).transpose(1, 2)
    y, _ = apply_rotary_pos_emb(split, split, angle.cos(), angle.sin())
    return finish({'x': x}, y.transpose(1, 2).reshape(x.shape), headDim=dim, theta=theta, positions=positions, factors=factors)


def attend(B, T, S, heads, kvHeads, dim, offset=0, window=None, starts=None, scale=None):
    q, k, v = draw(B, T, heads * dim), draw(B, S, kvHeads * dim), draw(B, S, kvHeads * dim)
    last = offset + torch.arange(T)[:, None]
    key = torch.arange(S)[None]
    seen = (key <= last) & (key > last - (window or S + 1))
    seen = seen[None].expand(B, T, S)
    if starts is not None:
        seen = seen & (key[None] >= torch.tensor(starts).view(B, T, 1))
    split = lambda t, h: t.view(B, -1, h, dim).transpose(1, 2)
    group = heads // kvHeads
    y = scaled_dot_product_attention(
        split(q, heads), repeat_kv(split(k, kvHeads), group), repeat_kv(split(v, kvHeads), group), attn_mask=seen[:, None], scale=scale)
    options = {'heads': heads, 'kvHeads': kvHeads, 'offset': offset, 'window': window, 'starts': starts, 'scale': scale}
    return finish({'q': q, 'k': k, 'v': v}, y.transpose(1, 2).reshape(q.shape), options=options)


def lookup(rows, dim, ids):
    weight = draw(rows, dim)
    return finish({'weight': weight}, embedding(torch.tensor(ids), weight), ids=ids)


golden = {
    'rmsNorm': [rms()],
    'swiglu': [swiglu()],
    'rotate': [
        rotate(2, 6, 10000.0, [0, 5, 1023, 131071], [1.0, 1.0, 1.0]),
        rotate(1, 8, 500000.0, [3, 100, 7000], [1.0, 2.5, 8.0, 8.0]),
    ],
    'causalAttention': [
        attend(2, 5, 5, 6, 2, 4),
        attend(1, 7, 7, 2, 2, 3, window=3, scale=0.25),
        attend(1, 8, 8, 2, 1, 4, starts=[0, 0, 0, 3, 3, 5, 5, 5]),
        attend(1, 2, 12, 4, 1, 4, offset=9),
    ],
    # Drawn last, so that the others are what they were without it.
    'embedding': [lookup(7, 5, [[3, 0, 3], [6, 3, 1]])],
}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'transformer.json'), 'w') as file:
    json.dump({'torch': torch.__version__, 'cases': golden}, file)
