"""mlx-lm's side: each tiny model with each adapter folder that lora-wasm converted, against PEFT's logits.

Run by programs.ts: python mlx_side.py FOLDER, laid out as text_models.py says, with mlx/ beside each peft/
Prints one line of JSON an adapter; see cases.py.
"""
import pathlib, sys
import mlx.core as mx
import numpy as np
from mlx_lm.utils import load_adapters, load_model
from cases import adapters, models, report

mx.set_default_device(mx.cpu)


def logits(model, ids):
    return np.array(model.eval()(mx.array(ids)[None])[0])


for name, folder in models(sys.argv[1]):
    for adapter, path, io in adapters(folder, 'mlx'):
        model, _ = load_model(pathlib.Path(folder, 'base'))
        base = logits(model, io['ids'])
        report(f'{name} {adapter}', io, base, logits(load_adapters(model, path), io['ids']))
