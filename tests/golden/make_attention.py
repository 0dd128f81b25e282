#!/usr/bin/env python3
"""Reference values of attention, rotary positions and the multi-head layer of badm.h from PyTorch, for tests/test_attention.c.

    python3 tests/golden/make_attention.py         writes attention.h beside this file

Needs torch and numpy; tests need neither, since attention.h is committed. As make_operations.py, whose cases these are too:
double precision, from inputs that are exact in float and not stored.
"""
import os

import torch

from make_operations import Golden, lines, number


def attention(q, k, v, causal):
    """torch.nn.functional.scaled_dot_product_attention, which PyTorch has had since 2.0; the mask is for the lower right."""
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    if causal:
        l, m = scores.shape[-2:]
        scores = scores.masked_fill(torch.ones(l, m).tril(m - l) == 0, float("-inf"))
    return torch.softmax(scores, -1) @ v


def self_attention(x, heads, causal):
    n, l, width = x.shape
    q, k, v = (part.reshape(n, l, heads, -1).transpose(1, 2) for part in x.split(width // 3, 2))
    return attention(q, k, v, causal).transpose(1, 2).reshape(n, l, width // 3)


def rotary(x, base, first):
    half = x.shape[-1] // 2
    angle = torch.outer(torch.arange(x.shape[-2]).double() + first, base ** (-torch.arange(half).double() / half))
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()), -1)


def multihead(x, in_weight, in_bias, out_weight, out_bias, heads, causal):
    """torch.nn.MultiheadAttention itself, with these as its parameters."""
    width, l = x.shape[2], x.shape[1]
    layer = torch.nn.MultiheadAttention(width, heads, batch_first=True).double()
    for owner, name, value in ((layer, "in_proj_weight", in_weight), (layer, "in_proj_bias", in_bias),
                               (layer.out_proj, "weight", out_weight), (layer.out_proj, "bias", out_bias)):
        del owner._parameters[name]
        setattr(owner, name, value)
    mask = torch.ones(l, l).triu(1) == 1 if causal else None
    return layer(x, x, x, attn_mask=mask, need_weights=False)[0]


def main():
    g = Golden()
    for leading, l, m, d, e, causal in (((), 5, 7, 4, 6, 0), ((), 1, 1, 1, 1, 1), ((3,), 6, 6, 5, 5, 1), ((2, 2), 17, 17, 3, 4, 1),
                                        ((2,), 16, 48, 8, 8, 1), ((2,), 5, 33, 7, 9, 1), ((1,), 70, 75, 33, 40, 0),
                                        ((1, 2), 65, 65, 32, 32, 1), ((1,), 9, 300, 12, 10, 0), ((1,), 150, 290, 6, 7, 1)):
        g.case("attention", [leading + (l, d), leading + (m, d), leading + (m, e)],
               lambda q, k, v: attention(q, k, v, causal), args=[causal])
    for n, l, heads, d, causal in ((1, 1, 1, 1, 0), (2, 5, 3, 4, 0), (2, 17, 2, 8, 1), (3, 64, 4, 8, 1), (1, 33, 3, 5, 1),
                                   (1, 270, 2, 6, 1)):
        g.case("self_attention", [(n, l, 3 * heads * d)], lambda x: self_attention(x, heads, causal), args=[heads, causal])
    for shape, base, first in (((5, 6), 10000.0, 0), ((3, 7, 2), 100.0, 4), ((2, 2, 9, 32), 10000.0, 0), ((1, 12), 500.0, 77)):
        g.case("rotary", [shape], lambda x: rotary(x, base, first), args=[first], factor=base)
    for n, l, width, heads, causal in ((2, 5, 8, 2, 0), (1, 18, 12, 3, 1)):
        g.case("multihead", [(n, l, width), (3 * width, width), (3 * width,), (width, width), (width,)],
               lambda *x: multihead(*x, heads, causal), kinds=["UNIT", "REAL", "REAL", "REAL", "REAL"], args=[heads, causal])
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "attention.h")
    with open(path, "w") as out:
        out.write("/* Made by make_attention.py with PyTorch; not edited by hand. Read through tests/golden.h. */\n\n")
        for kind, name, items in (("float", "values", [number(v) for v in g.values]),
                                  ("golden_tensor", "tensors", g.tensors), ("golden_case", "cases", g.cases)):
            out.write("static const %s golden_%s[] = {\n%s\n};\n\n" % (kind, name, lines(items)))
    print("attention.h: %d cases, %d numbers, %d bytes" % (len(g.cases), len(g.values), os.path.getsize(path)))


if __name__ == "__main__":
    main()
