"""Models, adapters and logits by llama.cpp's own interface, quietly: for the sides that hold it against others."""
import ctypes
import llama_cpp.llama_cpp as llama
import numpy as np

llama.llama_backend_init()
quiet = llama.llama_log_callback(lambda level, text, data: None)
llama.llama_log_set(quiet, None)


def load_model(path):
    model = llama.llama_model_load_from_file(path.encode(), llama.llama_model_default_params())
    if not model:
        raise RuntimeError(f'llama.cpp does not load {path}')
    return model


def load_adapter(model, path):
    adapter = llama.llama_adapter_lora_init(model, path.encode())
    if not adapter:
        raise RuntimeError(f'llama.cpp does not load {path}')
    return adapter


def logits(model, ids, adapter=None):
    """[tokens, vocabulary], on one thread, with float32 keys and values."""
    params = llama.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = max(64, len(ids))
    params.n_threads = params.n_threads_batch = 1
    params.type_k = params.type_v = llama.GGML_TYPE_F32
    params.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
    context = llama.llama_init_from_model(model, params)
    if adapter is not None:
        adapters = (llama.llama_adapter_lora_p_ctypes * 1)(adapter)
        llama.llama_set_adapters_lora(context, adapters, 1, (ctypes.c_float * 1)(1.0))
    batch = llama.llama_batch_init(len(ids), 0, 1)
    batch.n_tokens = len(ids)
    for i, token in enumerate(ids):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = int(token), i, 1, 0, 1
    if llama.llama_decode(context, batch) != 0:
        raise RuntimeError('llama_decode failed')
    vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
    values = np.ctypeslib.as_array(llama.llama_get_logits(context), shape=(len(ids), vocabulary)).copy()
    llama.llama_batch_free(batch)
    llama.llama_free(context)
    return values


def text_of(model, ids):
    """What tokens say."""
    tokens = (llama.llama_token * len(ids))(*ids)
    buffer = ctypes.create_string_buffer(64 * (len(ids) + 1))
    vocabulary = llama.llama_model_get_vocab(model)
    length = llama.llama_detokenize(vocabulary, tokens, len(ids), buffer, len(buffer), False, True)
    if length < 0:
        raise RuntimeError(f'llama_detokenize wants {-length} bytes')
    return buffer.raw[:length].decode('utf-8', 'replace')
