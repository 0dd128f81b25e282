#!/usr/bin/env python3
"""Reference values of layer, RMS, group and batch norm, forward and backward, from PyTorch, for
tests/test_normalisation.c.

    python3 tests/golden/make_normalisation.py      writes normalisation.h beside this file

Needs torch and numpy; tests need neither, since normalisation.h is committed. Everything is computed in double precision
from inputs that are exact in float. Inputs are not stored: make_operations.py and golden_fill() in tests/golden.h make the
same numbers. Of a tensor with more than STORED entries every stride-th is stored, with a weighted sum of all of them.
make_recurrent.py uses this file's functions.
"""
import os

import numpy as np
import torch
import torch.nn.functional as F

from make_operations import AWAY, CHECKSUM_SEED, POSITIVE, REAL, fill, integers, number, prime

STORED = 7


def made(kind, seed, shape):
    return torch.tensor(fill(kind, seed, int(np.prod(shape)))).reshape(shape)


class Golden:
    def __init__(self):
        self.values, self.tensors, self.cases = [], [], []

    def tensor(self, kind, seed, shape, reference):
        """What fill() makes of kind and seed, with what PyTorch makes of it; reference None: nothing."""
        first, stored, stride, largest, checksum = len(self.values), 0, 1, 0.0, 0.0
        if reference is not None:
            flat = reference.detach().numpy().ravel()
            if len(flat) > STORED:
                stride = prime(-(-len(flat) // STORED), shape)
            sample = flat[::stride]
            stored, largest = len(sample), np.abs(flat).max()
            checksum = float(np.dot(flat, fill(REAL, CHECKSUM_SEED, len(flat))))
            self.values += list(sample)
        self.tensors.append("{ GOLDEN_%s,%d, %d,{%s}, %d,%d,%d, %s,%s }" % (
            kind, seed, len(shape), integers(shape), first, stored, stride, number(largest), number(checksum)))

    def case(self, operation, shapes, f, args=(), buffers=()):
        """f(inputs...) in torch; shape None: the input is left out. buffers: what f changes, as (kind, seed, values)."""
        seed = 10 * (len(self.cases) + 1)
        x = [s if s is None else made(REAL, seed + i, s).requires_grad_() for i, s in enumerate(shapes)]
        y = f(*x)
        y.backward(made(AWAY, seed + 9, y.shape))
        first = len(self.tensors)
        for i, v in enumerate(x):
            self.tensor(REAL, seed + i, [] if v is None else list(v.shape), None if v is None else v.grad)
        self.tensor(AWAY, seed + 9, list(y.shape), y)
        for kind, of, values in buffers:
            self.tensor(kind, of, list(values.shape), values)
        self.cases.append('{ "%s", %d,%d, {%s} }' % (operation, first, len(x), integers(args)))

    def write(self, script, header):
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), header)
        with open(path, "w") as out:
            out.write("/* Made by %s with PyTorch; not edited by hand. Read through tests/golden.h. */\n\n" % script +
                      "/* An input without entries was left out. Behind inputs and output stand changed buffers. */\n"
                      "typedef struct { const char *operation; uint32_t tensor, inputs; badm_dim args[2]; } golden_layer_case;\n\n")
            for kind, name, items in (("float", "values", [number(v) for v in self.values]),
                                      ("golden_tensor", "tensors", self.tensors), ("golden_layer_case", "cases", self.cases)):
                out.write("static const %s golden_%s[] = {\n%s\n};\n\n" % (kind, name, lines(items)))
        print("%s: %d cases, %d numbers, %d bytes" % (header, len(self.cases), len(self.values), os.path.getsize(path)))


def lines(items, width=116):
    out, line = [], ""
    for item in items:
        if line and len(line) + len(item) + 2 > width:
            out.append("    " + line)
            line = ""
        line += (" " if line else "") + item + ","
    return "\n".join(out + ["    " + line])


def rms_norm(x, weight):
    y = x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-5)
    return y if weight is None else y * weight


def affine(y, weight, bias):
    """Of channels, where torch takes only both or none."""
    shape = (1, -1) + (1,) * (y.dim() - 2)
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


def normalisation(g):
    for shape, tail in (((7,), 1), ((5, 37), 1), ((3, 4, 16), 1), ((3, 4, 16), 2), ((2, 3, 4, 5), 2), ((2, 3, 4, 5), 4),
                        ((33, 130), 1), ((9, 64), 1), ((2, 4500), 1), ((4, 3), 1)):
        w = shape[-tail:]
        given = [(w, w), (w, None), (None, w)] + ([(None, None)] if tail == 1 else [])
        for weight, bias in given if shape == (3, 4, 16) else given[:1]:
            g.case("layer_norm", [shape, weight, bias], lambda x, a, b: F.layer_norm(x, w, a, b, 1e-5))
        if tail == 1:
            for weight in (w, None):
                g.case("rms_norm", [shape, weight], rms_norm)
    for shape, all_groups in (((2, 6, 5), (1, 2, 3, 6)), ((3, 6), (2,)), ((2, 4, 3, 3), (1, 2, 4)), ((2, 8, 17, 19), (2,)),
                              ((1, 2, 70, 70), (1,)), ((2, 3, 16), (3,))):
        c = shape[1:2]
        for groups in all_groups:
            for weight, bias in ((c, c), (None, None), (c, None), (None, c))[:4 if groups == 3 else 1]:
                g.case("group_norm", [shape, weight, bias], lambda x, a, b: affine(F.group_norm(x, groups, None, None, 1e-5), a, b), (groups,))
    for shape in ((4, 3), (3, 1), (130, 17), (5, 7, 3), (2, 3, 4, 5), (1, 3, 2, 2), (3, 2, 65, 66), (2, 9, 16, 2)):
        c = shape[1:2]
        for training in (1, 0):
            for weight, bias in ((c, c), (None, None), (c, None), (None, c))[:4 if shape in ((4, 3), (2, 3, 4, 5)) else 1]:
                seed = 10 * (len(g.cases) + 1)
                mean, var = made(REAL, seed + 5, c), made(POSITIVE, seed + 6, c)
                g.case("batch_norm", [shape, weight, bias],
                       lambda x, a, b: affine(F.batch_norm(x, mean, var, None, None, training == 1, 0.125, 1e-5), a, b),
                       (training,),
                       ((REAL, seed + 5, mean), (POSITIVE, seed + 6, var)))


if __name__ == "__main__":
    golden = Golden()
    normalisation(golden)
    golden.write("make_normalisation.py", "normalisation.h")
