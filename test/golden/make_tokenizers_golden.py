"""Token ids of random strings, from Python's `tokenizers`, for every cut that a GGUF tokenizer is rebuilt with.

A string is made of pieces drawn by a linear congruential generator, which test/golden-support/random-texts.ts has too; of a string's ids
only a hash (FNV-1a over the ids as 32-bit words) is kept.
tokenizers.json  vocabulary and merges of a small byte-level BPE; pieces that strings are made of; hashes by name of the cut
With the path of the real model's GGUF: `smollm2`, hashes over its vocabulary.
Run: python make_tokenizers_golden.py OUT.json [MODEL.gguf]
"""
import json, sys
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

COUNT = 2000
RANGES = [(0x20, 0x7e), (0xa0, 0x24f), (0x300, 0x36f), (0x391, 0x3a1), (0x3b1, 0x3c9), (0x410, 0x44f), (0x5d0, 0x5ea), (0x627, 0x64a), (0x660, 0x669), (0x915, 0x939),
          (0x966, 0x96f), (0xe01, 0xe2e), (0x1100, 0x1112), (0x1e00, 0x1eff), (0x2000, 0x200f), (0x2018, 0x2027), (0x2070, 0x2071), (0x2074, 0x208e), (0x20a0, 0x20b0),
          (0x2150, 0x2188), (0x2460, 0x249b), (0x3041, 0x3096), (0x30a1, 0x30fa), (0x4e00, 0x4eff), (0xac00, 0xacff), (0xff10, 0xff19), (0xff21, 0xff3a), (0x1f300, 0x1f64f), (0x1d7ce, 0x1d7ff)]
PIECES = ["the", "The", " of", " and", "ing", "tion", "naïve", " 12", "345", "0", "7", "'s", "'S", "'ll", "'LL", "'t", "n't", "'ve", "'RE", "'m", "'D", "'\u017f", "' ", " ", " ", "  ", "   ", "    ", "\t", "\n", "\n\n",
          "\r\n", "\r", " \n", "\n ", "\u000b", "\u000c", "\u0085", "\u00a0", "\u1680", "\u2003", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\u200b", "\u200d", "\ufeff", "\ufffd", "\u0000", "\u001c", "\u001f", "\u007f",
          "²³", "½", "Ⅷ", "①", "一二", "١٢٣", "१२", "🙂", "👩\u200d👩\u200d👧", "e\u0301", "\u0301", "ǅ", "ß", "İ", "\u2126", "\u212b", "한글", "日本語", "...", "!!", "?!", "--", "==", "(", ")", "{\n", "};\n", "//", "_", "a_b", "x=",
          "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_", "user\n", "$1,234.56", "50%", "https://", "@", "#"]
WORDS = "'s|'t|'re|'ve|'m|'ll|'d"
LLAMA = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN = LLAMA.replace('{1,3}', '')
byte_level = lambda regex: pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex)
split = lambda regex: pre_tokenizers.Split(Regex(regex), 'isolated', invert=False)
CUTS = {
  'gpt-2': (byte_level(True), None, False),
  'smollm': (pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(True)]), None, False),
  'llama-bpe': (pre_tokenizers.Sequence([split(LLAMA), byte_level(False)]), None, True),
  'qwen2': (pre_tokenizers.Sequence([split(QWEN), byte_level(False)]), normalizers.NFC(), False),
}
SPECIAL = ['<|endoftext|>', '<|im_start|>', '<|im_end|>']

class Draw:
  """state * 1664525 + 1013904223 mod 2^32; a number below n from the upper 16 bits"""
  def __init__(self, seed): self.state = seed
  def below(self, n): self.state = (self.state * 1664525 + 1013904223) % 2**32; return (self.state >> 16) % n

def strings():
  draw = Draw(7)
  for _ in range(COUNT):
    parts = []
    for _ in range(1 + draw.below(24)):
      if draw.below(3) < 2: parts.append(PIECES[draw.below(len(PIECES))])
      else:
        low, high = RANGES[draw.below(len(RANGES))]; parts.append(chr(low + draw.below(high - low + 1)))
    yield ''.join(parts)

def hashed(ids):
  h = 0x811c9dc5
  for i in ids:
    for byte in i.to_bytes(4, 'little'): h = ((h ^ byte) * 0x01000193) % 2**32
  return f'{h:08x}'

def tokenizer(vocab, merges, cut, special):
  pre, normalizer, ignore = CUTS[cut]
  t = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=ignore)); t.pre_tokenizer = pre; t.decoder = decoders.ByteLevel()
  if normalizer is not None: t.normalizer = normalizer
  t.add_special_tokens([AddedToken(s, normalized=False, special=True) for s in special])
  return t

def small():
  t = Tokenizer(models.BPE()); t.pre_tokenizer = CUTS['gpt-2'][0]
  t.train_from_iterator(list(strings()) * 2, trainers.BpeTrainer(vocab_size=700, special_tokens=SPECIAL, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
  model = json.loads(t.to_str())['model']
  return model['vocab'], [tuple(m) for m in model['merges']]

out = sys.argv[1]; texts = list(strings())
vocab, merges = small()
tokens = [token for token, _ in sorted(vocab.items(), key=lambda item: item[1])]
result = {'tokenizers': tokenizers.__version__, 'ranges': RANGES, 'pieces': PIECES, 'tokens': tokens, 'merges': [' '.join(m) for m in merges], 'hashes': {}}
for cut in CUTS:
  t = tokenizer(vocab, merges, cut, SPECIAL)
  result['hashes'][cut] = ' '.join(hashed(t.encode(s, add_special_tokens=False).ids) for s in texts)
if len(sys.argv) > 2:
  from gguf import GGUFReader
  field = lambda name: GGUFReader(sys.argv[2]).fields['tokenizer.ggml.' + name].contents()
  names, kinds = field('tokens'), field('token_type')
  t = tokenizer({name: i for i, name in enumerate(names)}, [tuple(m.split(' ')) for m in field('merges')], 'smollm', [n for n, k in zip(names, kinds) if k == 3])
  result['smollm2'] = ' '.join(hashed(t.encode(s, add_special_tokens=False).ids) for s in texts)
json.dump(result, open(out, 'w'), ensure_ascii=True, indent=1)
