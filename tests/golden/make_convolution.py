#!/usr/bin/env python3
"""Reference values of convolutions, pooling and upsampling, forward and backward, from PyTorch, for
tests/test_convolution.c.

    python3 tests/golden/make_convolution.py        writes convolution.h beside this file

Needs torch and numpy; tests need neither, since convolution.h is committed. Everything is computed in double precision
from inputs that are exact in float. Inputs are not stored: make_operations.py and golden_fill() in tests/golden.h make the
same numbers. Of a tensor with more than STORED entries every stride-th is stored, with a weighted sum of all of them.
"""
import os

import numpy as np
import torch
import torch.nn.functional as F

from make_operations import AWAY, CHECKSUM_SEED, REAL, fill, integers, number, prime

STORED = 7


class Golden:
    def __init__(self):
        self.values, self.tensors, self.cases = [], [], []

    def tensor(self, kind, seed, reference):
        shape, flat = list(reference.shape), reference.detach().numpy().ravel()
        stride = prime(-(-len(flat) // STORED), shape) if len(flat) > STORED else 1
        sample = flat[::stride]
        self.tensors.append("{ GOLDEN_%s,%d, %d,{%s}, %d,%d,%d, %s,%s }" % (
            kind, seed, len(shape), integers(shape), len(self.values), len(sample), stride, number(np.abs(flat).max()),
            number(float(np.dot(flat, fill(REAL, CHECKSUM_SEED, len(flat)))))))
        self.values += list(sample)

    def case(self, operation, shapes, f, args=()):
        seed = 10 * (len(self.cases) + 1)
        x = [torch.tensor(fill(REAL, seed + i, int(np.prod(s)))).reshape(s) for i, s in enumerate(shapes)]
        for v in x:
            v.requires_grad_(True)
        y = f(*x)
        y.backward(torch.tensor(fill(AWAY, seed + 9, y.numel())).reshape(y.shape))
        first = len(self.tensors)
        for i, v in enumerate(x):
            self.tensor(REAL, seed + i, v.grad)
        self.tensor(AWAY, seed + 9, y)
        self.cases.append('{ "%s", %d,%d, {%s} }' % (operation, first, len(x), integers(args)))


def pair(v):
    return v if isinstance(v, tuple) else (v, v)


def convolutions(g):
    def conv(n, c, size, out, kernel, stride=1, padding=0, dilation=1, groups=1, bias=True):
        stride, padding, dilation = pair(stride), pair(padding), pair(dilation)
        shapes = [(n, c) + pair(size), (out, c // groups) + pair(kernel)] + ([(out,)] if bias else [])
        g.case("conv2d", shapes, lambda x, w, b=None: F.conv2d(x, w, b, stride, padding, dilation, groups),
               stride + padding + dilation + (0, 0, groups))

    def conv1(n, c, length, out, kernel, stride=1, padding=0, dilation=1, groups=1, bias=True):
        shapes = [(n, c, length), (out, c // groups, kernel)] + ([(out,)] if bias else [])
        g.case("conv1d", shapes, lambda x, w, b=None: F.conv1d(x, w, b, stride, padding, dilation, groups),
               (stride, 9, padding, 9, dilation, 9, 0, 0, groups))

    def transposed(n, c, size, out, kernel, stride=1, padding=0, more=0, dilation=1, groups=1, bias=True):
        stride, padding, more, dilation = pair(stride), pair(padding), pair(more), pair(dilation)
        shapes = [(n, c) + pair(size), (c, out // groups) + pair(kernel)] + ([(out,)] if bias else [])
        g.case("conv_transpose2d", shapes,
               lambda x, w, b=None: F.conv_transpose2d(x, w, b, stride, padding, more, groups, dilation),
               stride + padding + dilation + more + (groups,))

    conv(1, 1, 1, 1, 1)
    conv(2, 1, 28, 16, 3, 1, 1)                     # the first layer of a network for MNIST
    conv(3, 16, 14, 32, 3, 1, 1)                    # and its second
    conv(2, 1, 28, 6, 5, 1, 2)                      # LeNet
    conv(2, 6, 14, 16, 5, bias=False)
    conv(2, 3, (9, 7), 5, 3, 1, 1)
    conv(2, 3, (5, 33), 9, (1, 3), 1, (0, 1))
    conv(1, 4, (12, 10), 7, 1)
    conv(2, 8, 7, 12, 1, bias=False)
    conv(2, 3, (11, 8), 4, 3, 2, 1)
    conv(2, 3, 8, 8, 4, 2, 1)                       # halves the sides, as discriminators do
    conv(1, 2, (13, 9), 3, (3, 2), (3, 2), (1, 1))
    conv(2, 2, 6, 3, 2, 3)                          # windows that leave gaps
    conv(1, 3, (10, 12), 4, 3, 1, 2, 2)             # dilated
    conv(2, 2, (11, 13), 3, (2, 3), (2, 1), (1, 3), (3, 2))
    conv(1, 2, 3, 2, 3, 1, 3)                       # windows outside of the image
    conv(2, 4, (6, 5), 8, 3, 1, 1, groups=2)
    conv(2, 6, (9, 20), 6, 3, 1, 1, groups=6)       # depthwise
    conv(1, 4, 9, 8, 3, 2, 1, 2, groups=4, bias=False)
    conv(1, 40, (4, 40), 21, 3, 1, 1)
    conv(2, 2, (3, 70), 2, 3, 1, (1, 1))
    conv(1, 1, (40, 1), 3, (5, 1), 1, (2, 0))
    conv(1, 33, 5, 5, 5)                            # one place
    conv1(2, 3, 17, 5, 3, 1, 1)
    conv1(1, 4, 50, 9, 7, 2, 3, bias=False)
    conv1(2, 6, 20, 6, 3, 1, 4, 2, groups=3)
    conv1(3, 1, 5, 2, 5)
    transposed(1, 1, 1, 1, 1)
    transposed(2, 8, 7, 4, 4, 2, 1)                 # doubles the sides, as generators do
    transposed(2, 5, 1, 6, 7)                       # the first layer of one
    transposed(2, 3, (5, 6), 4, 3, 1, 1)
    transposed(1, 3, (4, 7), 5, 3, 2, 1, 1)
    transposed(2, 2, (3, 5), 3, (2, 3), (3, 2), (1, 0), (2, 1), (1, 2), bias=False)
    transposed(2, 4, 5, 6, 3, 2, 1, 1, groups=2)
    transposed(1, 2, 4, 2, 2, 3)                    # with gaps
    transposed(1, 16, (14, 13), 8, 5, 1, 2)
    transposed(1, 3, 6, 3, 3, 2, 0, 0, 2, groups=3)


def pooling(g):
    for shape, kernel, stride, padding in (((2, 3, 8, 10), 2, 2, 0), ((2, 2, 28, 28), 2, 2, 0), ((1, 2, 7, 9), 2, 2, 0),
                                           ((2, 2, 9, 8), 3, 2, 1), ((1, 3, 6, 7), 3, 1, 1), ((1, 2, 7, 11), 3, 3, 0),
                                           ((1, 1, 5, 5), 2, 3, 1), ((2, 1, 4, 4), 4, 4, 0), ((1, 2, 2, 34), 2, 2, 0),
                                           ((1, 1, 3, 3), 1, 1, 0), ((2, 3, 14, 14), 2, 2, 0), ((1, 2, 11, 13), 2, 2, 0), ((1, 2, 10, 10), 4, 2, 2)):
        g.case("max_pool2d", [shape], lambda x: F.max_pool2d(x, kernel, stride, padding), (kernel, stride, padding))
        g.case("avg_pool2d", [shape], lambda x: F.avg_pool2d(x, kernel, stride, padding), (kernel, stride, padding))
    for shape in ((2, 3, 4, 5), (1, 1, 1, 1), (2, 2, 17, 19)):
        g.case("global_avg_pool2d", [shape], lambda x: x.mean((2, 3)))
    for shape, factor in (((2, 3, 4, 5), 2), ((1, 2, 3, 3), 3), ((1, 1, 1, 1), 4), ((1, 2, 2, 17), 1), ((2, 2, 7, 7), 2)):
        g.case("upsample_nearest2d", [shape], lambda x: F.interpolate(x, scale_factor=factor), (factor,))
        g.case("upsample_bilinear2d", [shape],
               lambda x: F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False), (factor,))


def layers():
    """Bounds of the uniform distributions that torch draws new weights from, as 1/bound^2."""
    rows = []
    for name, layer in (("conv2d", torch.nn.Conv2d(6, 4, 3, groups=2)), ("conv1d", torch.nn.Conv1d(6, 4, 5, groups=1)),
                        ("conv_transpose2d", torch.nn.ConvTranspose2d(6, 4, 3, groups=2))):
        fan, _ = torch.nn.init._calculate_fan_in_and_fan_out(layer.weight)
        rows.append('{ "%s", %d,{%s}, %d }' % (name, layer.weight.dim(), integers(layer.weight.shape), fan))
    return rows


def lines(items, width=116):
    out, line = [], ""
    for item in items:
        if line and len(line) + len(item) + 2 > width:
            out.append("    " + line)
            line = ""
        line += (" " if line else "") + item + ","
    return "\n".join(out + ["    " + line])


def main():
    g = Golden()
    convolutions(g)
    pooling(g)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "convolution.h")
    with open(path, "w") as out:
        out.write("/* Made by make_convolution.py with PyTorch; not edited by hand. Read through tests/golden.h. */\n\n"
                  "/* args: stride, padding, dilation and output_padding of both sides, groups; or kernel, stride, padding;\n"
                  "   or the factor. */\n"
                  "typedef struct { const char *operation; uint32_t tensor, inputs; badm_dim args[9]; } golden_windows;\n"
                  "typedef struct { const char *layer; unsigned rank; badm_dim shape[4]; unsigned fan_in; } golden_conv_layer;\n\n")
        for kind, name, items in (("float", "values", [number(v) for v in g.values]), ("golden_tensor", "tensors", g.tensors),
                                  ("golden_windows", "cases", g.cases), ("golden_conv_layer", "layers", layers())):
            out.write("static const %s golden_%s[] = {\n%s\n};\n\n" % (kind, name, lines(items)))
    print("convolution.h: %d cases, %d numbers, %d bytes" % (len(g.cases), len(g.values), os.path.getsize(path)))


main()
