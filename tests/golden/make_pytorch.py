#!/usr/bin/env python3
"""A PyTorch model's state_dict as a safetensors file, and the model's outputs, for tests/test_pytorch.c.

    python3 tests/golden/make_pytorch.py            writes pytorch.safetensors and pytorch.h beside this file

Needs torch and numpy. Without the safetensors package the file is written by the format's rules: an 8-byte length, a JSON
header, the numbers; those of the widest type first, then by name. Weights and inputs come from fill() of
make_normalisation.py, so that any version of torch makes the same file. tests/pytorch.py builds the same model.
"""
import json
import os
import struct

import numpy as np
import torch
import torch.nn.functional as F

from make_normalisation import REAL, fill, lines, number

SAMPLES, TYPES = 5, {torch.float32: ("F32", "<f4"), torch.int64: ("I64", "<i8")}
here = os.path.dirname(os.path.abspath(__file__))


class Net(torch.nn.Module):
    """What tests/pytorch_net.h builds: an image of 2x5x5 and four tokens of 11 become four numbers."""
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(2, 6, 3, stride=2, padding=1)
        self.norm1 = torch.nn.BatchNorm2d(6)
        self.norm2 = torch.nn.GroupNorm(3, 6)
        self.fc = torch.nn.Linear(54, 12)
        self.embedding = torch.nn.Embedding(11, 12)
        self.norm3 = torch.nn.LayerNorm(12)
        self.attention = torch.nn.MultiheadAttention(12, 3, batch_first=True)
        self.cell = torch.nn.GRUCell(12, 8)
        self.out = torch.nn.Linear(8, 4)

    def forward(self, images, tokens):
        x = F.relu(self.norm1(self.conv(images)))
        x = torch.tanh(self.fc(self.norm2(x).reshape(len(images), 54)))
        words = self.norm3(self.embedding(tokens))
        words = words + self.attention(words, words, words, need_weights=False,
                                       attn_mask=torch.ones(4, 4).triu(1).bool())[0]
        state = x[:, :8]
        for i in range(4):
            state = self.cell(words[:, i], state)
        return self.out(state)


def inputs():
    images = torch.tensor(fill(REAL, 1, SAMPLES * 50)).float().reshape(SAMPLES, 2, 5, 5)
    tokens = torch.tensor([(7 * i + i // 4) % 11 for i in range(4 * SAMPLES)]).reshape(SAMPLES, 4)
    return images, tokens


def save(state, path):
    """As safetensors.torch.save_file."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name in sorted(state, key=lambda n: (-state[n].element_size(), n)):
        values = state[name].detach().numpy().astype(TYPES[state[name].dtype][1]).tobytes()
        header[name] = {"dtype": TYPES[state[name].dtype][0], "shape": list(state[name].shape),
                        "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + data)


def load(path):
    """As safetensors.torch.load_file."""
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    state = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        kind = [t for t in TYPES if TYPES[t][0] == entry["dtype"]][0]
        begin, end = entry["data_offsets"]
        assert begin % torch.empty(0, dtype=kind).element_size() == 0, name + " is not aligned"
        values = np.frombuffer(data[begin:end], dtype=TYPES[kind][1]).reshape(entry["shape"])
        state[name] = torch.from_numpy(values.copy())
    return state


def main():
    net = Net()
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            p.copy_(torch.tensor(0.25 * fill(REAL, 100 + i, p.numel())).reshape(p.shape))
        net.train()
        for _ in range(3):
            net(*inputs())
        net.eval()
        y = net(*inputs())
    path = os.path.join(here, "pytorch.safetensors")
    try:
        from safetensors.torch import save_file
        save_file({k: v.contiguous() for k, v in net.state_dict().items()}, path)
    except ImportError:
        save(net.state_dict(), path)
    with open(os.path.join(here, "pytorch.h"), "w") as out:
        out.write("/* Made by make_pytorch.py with PyTorch; not edited by hand: what the model in pytorch.safetensors gives. */\n\n"
                  "static const float golden_outputs[] = {\n%s\n};\n" % lines([number(v) for v in y.numpy().ravel()]))
    print("pytorch.safetensors: %d bytes" % os.path.getsize(path))


if __name__ == "__main__":
    main()
