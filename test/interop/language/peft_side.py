"""PEFT's and transformers' side of language models: over a GGUF file's dequantised weights, and over merged folders.

Run by language.ts:
python peft_side.py adapters MODEL.gguf FOLDER   FOLDER/rows.json: rows of ids and labels; FOLDER/ours: an adapter of lora-wasm.
    Makes FOLDER/theirs, an adapter that PEFT trained. Prints {"base", "ours", "theirs"}: mean losses of the tokens that count.
python peft_side.py merged FOLDER                FOLDER/merged, FOLDER/rows.json, FOLDER/texts.json.
    Writes FOLDER/logits.safetensors (logits f32 [tokens, vocabulary] of the first row). Prints {"ids": of each text}
"""
import json, os, sys
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()
torch.manual_seed(11)
OPTIONS = dict(dtype=torch.float32, attn_implementation='eager')


def load_gguf(path):
    folder, name = os.path.split(path)
    return AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, **OPTIONS).eval()


def read(folder, name):
    return json.load(open(os.path.join(folder, name)))


def sums(model, row):
    """Summed loss of a row's tokens that count, and how many they are."""
    ids, labels = (torch.tensor([row[key]]) for key in ('ids', 'labels'))
    logits = model(ids, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits[0, :-1], labels[0, 1:], ignore_index=-100, reduction='sum')
    return loss, (labels[0, 1:] != -100).sum().item()


def loss_of(model, rows):
    with torch.no_grad():
        found = [sums(model, row) for row in rows]
    return (sum(loss for loss, _ in found) / sum(count for _, count in found)).item()


def train(model, rows):
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=5e-3)
    model.train()
    for row in rows[:4]:
        optimizer.zero_grad()
        loss, count = sums(model, row)
        (loss / count).backward()
        optimizer.step()
    return model.eval()


def adapters(path, folder):
    rows = read(folder, 'rows.json')
    base = load_gguf(path)
    said = {'base': loss_of(base, rows)}
    ours = PeftModel.from_pretrained(base, os.path.join(folder, 'ours')).eval()
    said['ours'] = loss_of(ours, rows)
    config = LoraConfig(r=4, lora_alpha=8, target_modules='all-linear', use_rslora=True, task_type='CAUSAL_LM')
    theirs = train(get_peft_model(ours.unload(), config), rows)
    theirs.save_pretrained(os.path.join(folder, 'theirs'))
    said['theirs'] = loss_of(theirs, rows)
    print(json.dumps(said))


def merged(folder):
    path = os.path.join(folder, 'merged')
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, **OPTIONS).eval()
    with torch.no_grad():
        logits = model(torch.tensor([read(folder, 'rows.json')[0]['ids']]), use_cache=False).logits[0]
    save_file({'logits': logits.contiguous()}, os.path.join(folder, 'logits.safetensors'))
    print(json.dumps({'ids': [tokenizer(text, add_special_tokens=False).input_ids for text in read(folder, 'texts.json')]}))


what, *args = sys.argv[1:]
{'adapters': adapters, 'merged': merged}[what](*args)
