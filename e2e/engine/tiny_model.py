"""Writes a tiny model of a real DeepSeek architecture (deepseek2: V2, V3, R1) with random weights, as a GGUF file.

    tiny_model.py FILE

It exists to run the unmodified engine in tests: latent attention, routed and shared experts, a byte-level tokenizer and a
chat template are all real, only small. What it says is babble, made of readable words. The same bytes come out each time:
the weights are drawn as integers from a fixed seed, so that neither the machine nor a library's version matters.
"""

import hashlib
import os
import random
import re
import sys
from collections import Counter

import gguf
import numpy as np

ARCH = "deepseek2"
NAME = "tiny-deepseek"
SEED = 20260101
CONTEXT = 32768

# The sizes, named after the GGUF keys they end in.
LAYERS, DENSE_LAYERS = 3, 1
EMBED, HEADS = 64, 4
Q_RANK, KV_RANK = 32, 32
ROPE, NOPE, VALUE = 16, 16, 16
DENSE_FF, EXPERT_FF = 128, 32
EXPERTS, EXPERTS_USED, SHARED, GROUPS, GROUPS_USED = 8, 2, 1, 4, 2
VOCAB = 512

BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
USER, ASSISTANT = "<｜User｜>", "<｜Assistant｜>"
CONTROL = [BOS, EOS, PAD, USER, ASSISTANT]
NORMAL_TOKEN, CONTROL_TOKEN, UNUSED_TOKEN = 1, 3, 5

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    f"{{% if message.role == 'user' %}}{USER}{{{{ message.content }}}}"
    f"{{% elif message.role == 'assistant' %}}{ASSISTANT}{{{{ message.content }}}}{{{{ eos_token }}}}"
    "{% else %}{{ message.content }}{% endif %}{% endfor %}"
    f"{{% if add_generation_prompt %}}{ASSISTANT}{{% endif %}}"
)

# What the merges of the tokenizer are learned from.
TEXT = """
a model answers a question with words and every word is made from tokens that the model has learned. the operator starts the
engine and the engine loads the weights of the model and then the first answer is sent to the client. when a node is lost the
operator starts another engine on another node and the requests go there. a request waits in a queue until a slot is free and
the router knows which replica has room. more requests bring more replicas and fewer requests bring fewer replicas, so that no
device is idle and nobody waits for long. the weights are read once and kept near the device. some experts work on this token
and other experts work on the next token, and a shared expert works on all of them. the cluster can be small or large, here or
there, and still the answer is the same.
"""


def byte_symbols():
    """One printable character for each byte: itself where it is visible, else one from beyond Latin-1."""
    visible = set(range(0x21, 0x7F)) | set(range(0xA1, 0xAD)) | set(range(0xAE, 0x100))
    hidden = iter(range(0x100, 0x200))
    return [chr(byte if byte in visible else next(hidden)) for byte in range(256)]


def join_pair(word, pair):
    joined, i = [], 0
    while i < len(word):
        step = 2 if word[i : i + 2] == pair else 1
        joined.append("".join(word[i : i + step]))
        i += step
    return tuple(joined)


def count_pairs(words):
    pairs = Counter()
    for word, times in words.items():
        for pair in zip(word, word[1:]):
            pairs[pair] += times
    return pairs


def learn_merges(symbols):
    """The pairs of TEXT, the most frequent first, until each of its words is one token."""
    words = Counter(
        tuple(symbols[byte] for byte in word.encode()) for word in re.findall(r" ?[a-z]+", TEXT.replace("\n", " "))
    )
    merges = []
    while pairs := count_pairs(words):
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = Counter({join_pair(word, best): times for word, times in words.items()})
    return merges


def tokenizer():
    """Tokens, their types, the merges, and which tokens the model may say."""
    symbols = byte_symbols()
    merges = learn_merges(symbols)
    joined = [left + right for left, right in merges]
    tokens = symbols + joined + CONTROL
    types = [NORMAL_TOKEN] * (256 + len(joined)) + [CONTROL_TOKEN] * len(CONTROL)
    while len(tokens) < VOCAB:  # the real ones are padded too
        tokens.append(f"<unused{len(tokens)}>")
        types.append(UNUSED_TOKEN)
    space = symbols[ord(" ")]
    spoken = np.array([token[0] == space and len(token) > 3 for token in tokens])
    assert len(set(tokens)) == VOCAB, "TEXT has more words than VOCAB has room for"
    return tokens, types, [" ".join(pair) for pair in merges], spoken


class Weights:
    def __init__(self, writer):
        self.writer, self.random, self.parameters = writer, random.Random(SEED), 0

    def add(self, name, values):
        self.parameters += values.size
        self.writer.add_tensor(name, values.astype(np.float32))

    def draw(self, *shape, gain=1.0):
        """Uniform, of variance gain²/inputs; shapes are (..., outputs, inputs), the reverse of the order ggml prints."""
        whole = np.frombuffer(self.random.randbytes(2 * int(np.prod(shape))), dtype="<u2").astype(np.float64)
        return ((whole - 32767.5) / 32768 * gain * np.sqrt(3 / shape[-1])).reshape(shape)

    def matrix(self, name, *shape):
        self.add(name, self.draw(*shape))

    def to_stream(self, name, *shape):
        """A matrix whose output is added to the residual stream: it leaves dimension 0 alone, see `voice`."""
        values = self.draw(*shape)
        values[..., 0, :] = 0
        self.add(name, values)

    def norm(self, name, size):
        self.add(name, np.ones(size))

    def voice(self, spoken):
        """Embedding and output. Dimension 0 is the same for every token and no layer changes it, so the output can use it
        as a bias: only the tokens in `spoken` are ever likely. Thus every answer is readable text, and as the end token is
        not among them, it is exactly as long as was asked for."""
        embedding = self.draw(VOCAB, EMBED, gain=np.sqrt(EMBED))
        embedding[:, 0] = 4
        self.add("token_embd.weight", embedding)
        output = self.draw(VOCAB, EMBED, gain=3)
        output[:, 0] = np.where(spoken, 0, -10)
        self.add("output.weight", output)
        self.norm("output_norm.weight", EMBED)

    def attention(self, block):
        self.norm(f"{block}.attn_norm.weight", EMBED)
        self.matrix(f"{block}.attn_q_a.weight", Q_RANK, EMBED)
        self.norm(f"{block}.attn_q_a_norm.weight", Q_RANK)
        self.matrix(f"{block}.attn_q_b.weight", HEADS * (NOPE + ROPE), Q_RANK)
        self.matrix(f"{block}.attn_kv_a_mqa.weight", KV_RANK + ROPE, EMBED)
        self.norm(f"{block}.attn_kv_a_norm.weight", KV_RANK)
        self.matrix(f"{block}.attn_k_b.weight", HEADS, KV_RANK, NOPE)
        self.matrix(f"{block}.attn_v_b.weight", HEADS, VALUE, KV_RANK)
        self.to_stream(f"{block}.attn_output.weight", EMBED, HEADS * VALUE)

    def feed_forward(self, block, suffix, inner, *stack):
        for gate in ("gate", "up"):
            self.matrix(f"{block}.ffn_{gate}{suffix}.weight", *stack, inner, EMBED)
        self.to_stream(f"{block}.ffn_down{suffix}.weight", *stack, EMBED, inner)

    def layer(self, index):
        block = f"blk.{index}"
        self.attention(block)
        self.norm(f"{block}.ffn_norm.weight", EMBED)
        if index < DENSE_LAYERS:
            self.feed_forward(block, "", DENSE_FF)
        else:
            self.matrix(f"{block}.ffn_gate_inp.weight", EXPERTS, EMBED)
            self.add(f"{block}.exp_probs_b.bias", self.draw(EXPERTS, gain=0.1))
            self.feed_forward(block, "_exps", EXPERT_FF, EXPERTS)
            self.feed_forward(block, "_shexp", EXPERT_FF * SHARED)


def settings(tokens, types, merges):
    model = {
        "context_length": CONTEXT,
        "embedding_length": EMBED,
        "block_count": LAYERS,
        "leading_dense_block_count": DENSE_LAYERS,
        "feed_forward_length": DENSE_FF,
        "vocab_size": VOCAB,
        "attention.head_count": HEADS,
        "attention.head_count_kv": 1,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "attention.q_lora_rank": Q_RANK,
        "attention.kv_lora_rank": KV_RANK,
        "attention.key_length": KV_RANK + ROPE,
        "attention.value_length": KV_RANK,
        "attention.key_length_mla": NOPE + ROPE,
        "attention.value_length_mla": VALUE,
        "rope.dimension_count": ROPE,
        "rope.freq_base": 10000.0,
        "expert_count": EXPERTS,
        "expert_used_count": EXPERTS_USED,
        "expert_shared_count": SHARED,
        "expert_group_count": GROUPS,
        "expert_group_used_count": GROUPS_USED,
        "expert_feed_forward_length": EXPERT_FF,
        "expert_weights_scale": 2.5,
        "expert_weights_norm": True,
        "expert_gating_func": 2,  # sigmoid, as V3
    }
    words = {
        "model": "gpt2",
        "pre": "deepseek-v3",
        "tokens": tokens,
        "token_type": types,
        "merges": merges,
        "bos_token_id": tokens.index(BOS),
        "eos_token_id": tokens.index(EOS),
        "padding_token_id": tokens.index(PAD),
        "add_bos_token": True,
        "add_eos_token": False,
    }
    return {
        "general.type": "model",
        "general.name": NAME,
        "general.description": "Random weights; for tests of the machinery around a model.",
        "general.file_type": 0,  # all of it float32
        **{f"{ARCH}.{key}": value for key, value in model.items()},
        **{f"tokenizer.ggml.{key}": value for key, value in words.items()},
        "tokenizer.chat_template": CHAT_TEMPLATE,
    }


def add_setting(writer, key, value):
    add = {
        bool: writer.add_bool,
        int: writer.add_uint32,
        float: writer.add_float32,
        str: writer.add_string,
        list: writer.add_array,
    }
    add[type(value)](key, value)


def write(path):
    tokens, types, merges, spoken = tokenizer()
    writer = gguf.GGUFWriter(path, ARCH)
    for key, value in settings(tokens, types, merges).items():
        add_setting(writer, key, value)
    weights = Weights(writer)
    weights.voice(spoken)
    for index in range(LAYERS):
        weights.layer(index)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return weights.parameters


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    path = sys.argv[1]
    parameters = write(path)
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    kv = LAYERS * (KV_RANK + ROPE) * 2  # one latent vector per layer, in float16
    print(f"{NAME}: {ARCH}, {parameters} parameters, context {CONTEXT}, {kv} bytes of KV cache per token,"
          f" {os.path.getsize(path)} bytes, sha256 {digest}")


main()
