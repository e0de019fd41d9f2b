"""Tiny language models with random weights, PEFT adapters on them, and PEFT's logits, for other programs to be held against.

Run by programs.ts: python text_models.py FOLDER
FOLDER/<model>/base/               a Hugging Face directory without a tokenizer
FOLDER/<model>/<adapter>/peft/     the adapter as PEFT saved it
FOLDER/<model>/<adapter>/io.safetensors   ids [tokens], base and adapted [tokens, vocabulary]
"""
import os, sys, warnings
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging

warnings.filterwarnings('ignore')
logging.set_verbosity_error()
logging.disable_progress_bar()
torch.set_num_threads(1)

SIZES = dict(
    vocab_size=260, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=16, max_position_embeddings=128, pad_token_id=0, bos_token_id=1, eos_token_id=2,
)
MODELS = [
    ('llama', 'llama', {}),
    ('llama_tied', 'llama', {'tie_word_embeddings': True}),
    ('mistral', 'mistral', {}),
    # The theta that mlx-lm takes for Qwen 2 when it finds none where older configs have it.
    ('qwen2', 'qwen2', {'rope_parameters': {'rope_type': 'default', 'rope_theta': 1e6}}),
    ('qwen3', 'qwen3', {}),
    ('gemma', 'gemma', {}),
    # llama.cpp takes the size of a head for the scale of all but the largest Gemma 2.
    ('gemma2', 'gemma2', {'query_pre_attn_scalar': 16}),
    ('phi3', 'phi3', {}),
]


def adapters(kind, tied):
    """Name and config: the usual two projections, every linear layer, strengths by layer, and an embedding that is no head."""
    qv = ['qkv_proj'] if kind == 'phi3' else ['q_proj', 'v_proj']
    outer = [] if tied else ['lm_head']
    yield 'qv', dict(r=4, lora_alpha=6, target_modules=qv)
    yield 'all', dict(r=3, lora_alpha=8, target_modules=['up_proj', 'down_proj', 'o_proj', 'k_proj', 'gate_proj', 'gate_up_proj', *qv, *outer])
    yield 'patterns', dict(
        r=4, lora_alpha=6, use_rslora=True, target_modules=[*qv, 'down_proj'],
        rank_pattern={'down_proj': 2}, alpha_pattern={qv[0]: 9},
    )
    if not tied:
        yield 'embedding', dict(r=4, lora_alpha=6, target_modules=['embed_tokens', 'down_proj'])


def model_of(kind, settings):
    torch.manual_seed(7)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **SIZES, **settings)).eval()
    for parameter in model.parameters():
        # Large enough for attention and activations to bend: at the usual 0.02 a wrong query would hardly be seen.
        parameter.data.add_(torch.randn_like(parameter) * 0.15)
    return model


def write(folder, name, kind, settings):
    model = model_of(kind, settings)
    model.save_pretrained(os.path.join(folder, name, 'base'))
    ids = torch.randint(3, 260, (24,))
    for adapter, config in adapters(kind, model.config.tie_word_embeddings):
        base = model_of(kind, settings)
        with torch.no_grad():
            before = base(ids[None]).logits[0]
            wrapped = get_peft_model(base, LoraConfig(**config)).eval()
            for parameter in wrapped.parameters():
                if parameter.requires_grad:
                    parameter.data.copy_(torch.randn_like(parameter) * 0.15)
            after = wrapped(ids[None]).logits[0]
        here = os.path.join(folder, name, adapter)
        wrapped.save_pretrained(os.path.join(here, 'peft'))
        save_file({'ids': ids.int(), 'base': before.contiguous(), 'adapted': after.contiguous()}, os.path.join(here, 'io.safetensors'))


for name, kind, settings in MODELS:
    write(sys.argv[1], name, kind, settings)
