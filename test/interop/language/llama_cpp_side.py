"""llama.cpp's side of language models: what it writes with an adapter that lora-wasm trained and converted.

Run by language.ts: python llama_cpp_side.py MODEL.gguf FOLDER
FOLDER/adapter.gguf; FOLDER/greedy.json: ids of a prompt, and those that lora-wasm wrote behind it
Writes FOLDER/llama.safetensors (base f32 [tokens, vocabulary]: the prompt's logits without the adapter).
Prints {"ids", "text", "gap"}: what llama.cpp writes, its text, and by how much its first other token is the likelier one there; null for none.
"""
import json, os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'programs'))
from safetensors.numpy import save_file
from llama_cpp_logits import load_adapter, load_model, logits, text_of

path, folder = sys.argv[1:]
job = json.load(open(os.path.join(folder, 'greedy.json')))
prompt, wanted = job['prompt'], job['ids']
model = load_model(path)
save_file({'base': logits(model, prompt)}, os.path.join(folder, 'llama.safetensors'))
adapter = load_adapter(model, os.path.join(folder, 'adapter.gguf'))
ids, gap = [], None
for step, own in enumerate(wanted):
    last = logits(model, prompt + ids, adapter)[-1]
    likeliest = int(last.argmax())
    if gap is None and likeliest != own:
        gap = float(last[likeliest] - last[own])
    ids.append(likeliest)
print(json.dumps({'ids': ids, 'text': text_of(model, ids), 'gap': gap}))
