"""What the programs' sides share: the converted adapters in the folder of text_models.py, and the report on one of them."""
import json, os
from safetensors.numpy import load_file


def models(folder):
    """Name and folder of each model."""
    return [(name, os.path.join(folder, name)) for name in sorted(os.listdir(folder))]


def adapters(model_folder, converted):
    """Name, path of the converted adapter and PEFT's values, of each adapter that was converted."""
    for name in sorted(os.listdir(model_folder)):
        here = os.path.join(model_folder, name)
        if os.path.exists(os.path.join(here, converted)):
            yield name, os.path.join(here, converted), load_file(os.path.join(here, 'io.safetensors'))


def report(case, io, base, adapted):
    """One line of JSON: the largest differences from PEFT over the largest logit, without the adapter and with it, and what the adapter changes."""
    largest = abs(io['adapted']).max()
    print(json.dumps({
        'case': case,
        'base': float(abs(base - io['base']).max() / largest),
        'difference': float(abs(adapted - io['adapted']).max() / largest),
        'effect': float(abs(io['adapted'] - io['base']).max() / largest),
    }), flush=True)
