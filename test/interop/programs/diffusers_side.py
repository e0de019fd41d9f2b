"""diffusers' side: kohya files on a tiny Stable Diffusion denoiser and text encoder, held against PEFT.

Run by programs.ts: python diffusers_side.py make FOLDER, then, with adapter.safetensors beside each peft/,
python diffusers_side.py check FOLDER, which prints one line of JSON an adapter; see cases.py
FOLDER/<model>/<adapter>/peft/            the adapter as PEFT saved it
FOLDER/<model>/<adapter>/io.safetensors   base and adapted: outputs for the same input
"""
import os, sys, warnings
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel
from cases import adapters, models, report

warnings.filterwarnings('ignore')
torch.set_num_threads(1)

ADAPTERS = {
    'unet': {
        'attention': dict(r=4, lora_alpha=6, target_modules=['to_q', 'to_k', 'to_v', 'to_out.0']),
        'patterns': dict(
            r=4, lora_alpha=6, use_rslora=True, target_modules=['to_q', 'proj_in', 'conv1', 'ff.net.0.proj', 'ff.net.2'],
            rank_pattern={'conv1': 2}, alpha_pattern={'ff.net.2': 9},
        ),
    },
    'text_encoder': {
        'attention': dict(r=4, lora_alpha=6, target_modules=['q_proj', 'k_proj', 'v_proj', 'out_proj']),
        # diffusers 0.42 finds layers only beside an out_proj, and a second alpha only under a path with text_model.
        'all': dict(r=4, lora_alpha=6, target_modules=['q_proj', 'k_proj', 'v_proj', 'out_proj', 'fc1', 'fc2']),
    },
}


def model_of(name):
    torch.manual_seed(7)
    if name == 'unet':
        return UNet2DConditionModel(
            sample_size=8, in_channels=4, out_channels=4, block_out_channels=(16, 32), layers_per_block=1,
            down_block_types=('DownBlock2D', 'CrossAttnDownBlock2D'), up_block_types=('CrossAttnUpBlock2D', 'UpBlock2D'),
            cross_attention_dim=16, attention_head_dim=8, norm_num_groups=8,
        ).eval()
    return CLIPTextModel(CLIPTextConfig(
        hidden_size=16, intermediate_size=24, num_attention_heads=2, num_hidden_layers=2, vocab_size=64,
        bos_token_id=0, eos_token_id=1,
    )).eval()


def output(name, model):
    torch.manual_seed(8)
    with torch.no_grad():
        if name == 'unet':
            return model(torch.randn(1, 4, 8, 8), 10, torch.randn(1, 5, 16)).sample.contiguous()
        return model(torch.randint(2, 64, (1, 9))).last_hidden_state.contiguous()


def make(folder):
    for name, configs in ADAPTERS.items():
        base = output(name, model_of(name))
        for adapter, config in configs.items():
            wrapped = get_peft_model(model_of(name), LoraConfig(**config)).eval()
            for parameter in wrapped.parameters():
                if parameter.requires_grad:
                    parameter.data.copy_(torch.randn_like(parameter) * 0.3)
            here = os.path.join(folder, name, adapter)
            wrapped.save_pretrained(os.path.join(here, 'peft'))
            save_file({'base': base, 'adapted': output(name, wrapped)}, os.path.join(here, 'io.safetensors'))


def load(name, model, path):
    state, alphas = StableDiffusionPipeline.lora_state_dict(load_file(path))
    if name == 'unet':
        StableDiffusionPipeline.load_lora_into_unet(state, alphas, model)
    else:
        StableDiffusionPipeline.load_lora_into_text_encoder(state, alphas, model)


def check(folder):
    for name, here in models(folder):
        for adapter, path, io in adapters(here, 'adapter.safetensors'):
            model = model_of(name)
            base = output(name, model)
            load(name, model, path)
            report(f'{name} {adapter}', io, base.numpy(), output(name, model).numpy())


{'make': make, 'check': check}[sys.argv[1]](sys.argv[2])
