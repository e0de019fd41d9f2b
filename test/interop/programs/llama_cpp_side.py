"""llama.cpp's side: each tiny model as GGUF, with each adapter that lora-wasm converted, against PEFT's logits.

Run by programs.ts: python llama_cpp_side.py FOLDER, laid out as text_models.py says, with adapter.gguf beside each peft/
Prints one line of JSON an adapter; see cases.py.
"""
import json, os, sys
import gguf
import numpy as np
from safetensors.numpy import load_file
from cases import adapters, models, report
from llama_cpp_logits import load_adapter, load_model, logits

ARCHITECTURES = {'mistral': 'llama'}


def heads_apart(weight, heads):
    """The order of query and key rows in Llama's files: LlamaModel.permute of llama.cpp's converter."""
    rows, *rest = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, *rest).swapaxes(1, 2).reshape(weight.shape)


def write_base(folder, path):
    """The model as convert_hf_to_gguf.py writes it, without a vocabulary."""
    config = json.load(open(os.path.join(folder, 'config.json')))
    kind = config['model_type']
    architecture = ARCHITECTURES.get(kind, kind)
    number = next(n for n, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
    layers, heads, kv_heads = (config[key] for key in ('num_hidden_layers', 'num_attention_heads', 'num_key_value_heads'))
    head_dim = config.get('head_dim') or config['hidden_size'] // heads
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(config['max_position_embeddings'])
    writer.add_embedding_length(config['hidden_size'])
    writer.add_block_count(layers)
    writer.add_feed_forward_length(config['intermediate_size'])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(config['rms_norm_eps'])
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(config['rope_parameters']['rope_theta'])
    writer.add_vocab_size(config['vocab_size'])
    writer.add_tokenizer_model('no_vocab')
    if kind == 'gemma2':
        writer.add_attn_logit_softcapping(config['attn_logit_softcapping'])
        writer.add_final_logit_softcapping(config['final_logit_softcapping'])
        writer.add_sliding_window(config['sliding_window'])
    if kind == 'phi3':
        writer.add_rope_scaling_orig_ctx_len(config['max_position_embeddings'])
        writer.add_sliding_window(0)
    names = gguf.get_tensor_name_map(number, layers)
    for name, tensor in load_file(os.path.join(folder, 'model.safetensors')).items():
        if architecture == 'llama' and '.q_proj.' in name:
            tensor = heads_apart(tensor, heads)
        if architecture == 'llama' and '.k_proj.' in name:
            tensor = heads_apart(tensor, kv_heads)
        if kind.startswith('gemma') and name.endswith('norm.weight'):
            tensor = tensor + 1
        writer.add_tensor(names.get_name(name, ('.weight', '.bias')), np.ascontiguousarray(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


for name, folder in models(sys.argv[1]):
    path = os.path.join(folder, 'base.gguf')
    write_base(os.path.join(folder, 'base'), path)
    model = load_model(path)
    for adapter_name, adapter_path, io in adapters(folder, 'adapter.gguf'):
        adapter = load_adapter(model, adapter_path)
        report(f'{name} {adapter_name}', io, logits(model, io['ids']), logits(model, io['ids'], adapter))
