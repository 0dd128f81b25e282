#!/usr/bin/env python3
"""Reference values of every operation of badm.h, forward and backward, from PyTorch, for tests/test_autodiff.c.

    python3 tests/golden/make_operations.py        writes operations.h beside this file

Needs torch and numpy; tests need neither, since operations.h is committed. Everything is computed in double precision
from inputs that are exact in float: what the test measures is the library's own rounding.

Inputs are not stored: fill() below and golden_fill() in tests/golden.h make the same numbers. Of a tensor with more
than STORED entries every stride-th is stored, with a weighted sum of all of them.
"""
import itertools
import math
import os

import numpy as np
import torch
import torch.nn.functional as F

STORED = 16
CHECKSUM_SEED = 77
REAL, POSITIVE, AWAY, UNIT = "REAL", "POSITIVE", "AWAY", "UNIT"     # the kinds of golden_fill()


def fill(kind, seed, n):
    """A hash of (seed, i) as 24 bits, mapped so that every value is exact in float."""
    i = np.arange(n, dtype=np.uint32)
    with np.errstate(over="ignore"):
        h = i * np.uint32(0x9E3779B9) + np.uint32(seed) * np.uint32(0x85EBCA6B) + np.uint32(1)
        h ^= h >> np.uint32(16)
        h *= np.uint32(0x7FEB352D)
        h ^= h >> np.uint32(15)
        h *= np.uint32(0x846CA68B)
        h ^= h >> np.uint32(16)
    sign = np.where(h & np.uint32(1), -1.0, 1.0)
    u = (h >> np.uint32(8)).astype(np.float64) / 2.0 ** 24          # [0,1)
    if kind == REAL:
        x = 4 * u - 2
    elif kind == POSITIVE:
        x = 0.5 + 2 * u
    elif kind == AWAY:
        x = sign * (0.5 + u)
    else:
        x = u
    return x.astype(np.float32).astype(np.float64)


def number(x):
    text = "%.9g" % x
    return text + ("f" if "." in text or "e" in text else ".0f")


def integers(items):
    return ",".join(str(i) for i in items) or "0"


def prime(at_least, shape):
    """The next prime that divides no dimension: steps of it visit every row and column."""
    p = at_least
    while any(p % k == 0 for k in range(2, p)) or any(d % p == 0 for d in shape):
        p += 1
    return p


class Golden:
    def __init__(self):
        self.values, self.ints, self.tensors, self.cases = [], [], [], []

    def tensor(self, kind, seed, shape, reference):
        """One input with its gradient, or the output with the upstream gradient's seed. reference None: no gradient."""
        shape = list(shape)
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
            kind, seed, len(shape), integers(shape), first, stored, stride,
            number(largest), number(checksum)))

    def case(self, operation, shapes, f, kinds=None, ints=None, ints_shape=None, args=(), factor=0.0, constant=()):
        """f(inputs..., ints) in torch. constant: the inputs that take no gradient."""
        seed = 10 * (len(self.cases) + 1)
        kinds = kinds or [REAL] * len(shapes)
        x = [torch.tensor(fill(k, seed + i, int(np.prod(s)))).reshape(s) for i, (k, s) in enumerate(zip(kinds, shapes))]
        for i, v in enumerate(x):
            v.requires_grad_(i not in constant)
        if ints is not None:
            ints_shape = ints_shape or [len(ints)]
            y = f(*x, torch.tensor(ints).reshape(ints_shape))
        else:
            ints_shape = []
            y = f(*x)
        upstream = torch.tensor(fill(AWAY, seed + 9, y.numel())).reshape(y.shape)
        y.backward(upstream)
        first = len(self.tensors)
        for i, v in enumerate(x):
            self.tensor(kinds[i], seed + i, shapes[i], v.grad if i not in constant else None)
        self.tensor(AWAY, seed + 9, y.shape, y)
        self.cases.append('{ "%s", %d,%d, %d,{%s},%d, {%s},%s }' % (
            operation, first, len(x), len(ints_shape), integers(ints_shape),
            len(self.ints), integers(args), number(factor)))
        self.ints += list(ints or [])


def operations(g):
    # ---- elementwise with broadcasting ----
    pairs = [((3, 5), (3, 5)), ((3, 5), ()), ((), (3, 5)), ((), ()), ((1,), (7,)), ((4, 6), (6,)), ((6,), (4, 6)),
             ((4, 6), (4, 1)), ((4, 1), (4, 6)), ((4, 1), (1, 5)), ((1, 5), (4, 1)), ((2, 3, 4), (3, 4)),
             ((4,), (2, 3, 4)), ((2, 3, 4), (3, 1)), ((2, 1, 4), (3, 1)), ((2, 3, 1, 5), (3, 4, 1)),
             ((2, 1, 3, 1), (1, 4, 1, 5)), ((1, 1, 1, 1), (2, 3)), ((65, 33), (33,)), ((65, 33), (65, 1)),
             ((65, 33), (65, 33)), ((257,), ())]
    for name, f in (("add", torch.add), ("sub", torch.sub), ("mul", torch.mul), ("div", torch.div)):
        for a, b in pairs:
            g.case(name, [a, b], f, [REAL, AWAY])
    for shape in ((), (7,), (3, 5), (2, 3, 4)):
        g.case("scale", [shape], lambda x: -1.75 * x, factor=-1.75)
        g.case("shift", [shape], lambda x: x + 0.375, factor=0.375)

    # ---- matrix products: m, k, n and the leading dimensions of a and b ----
    sizes = [((), (), 1, 1, 1), ((), (), 1, 7, 1), ((), (), 5, 1, 6), ((), (), 1, 9, 5), ((), (), 9, 5, 1),
             ((), (), 7, 5, 3), ((), (), 33, 65, 17), ((), (), 130, 300, 70),
             ((3,), (3,), 4, 5, 6), ((3,), (), 4, 5, 6), ((1,), (1,), 2, 3, 4),
             ((2, 3), (2, 3), 4, 5, 2), ((2, 3), (), 4, 5, 2), ((2, 2), (2, 2), 17, 33, 19), ((5,), (), 16, 24, 40)]
    for la, lb, m, k, n in sizes:
        g.case("matmul", [la + (m, k), lb + (k, n)], torch.matmul)
        g.case("matmul_nt", [la + (m, k), lb + (n, k)], lambda a, b: torch.matmul(a, b.transpose(-1, -2)))
        g.case("matmul_tn", [la + (k, m), lb + (k, n)], lambda a, b: torch.matmul(a.transpose(-1, -2), b))
    for x, w in (((4, 5), (3, 5)), ((1, 1), (1, 1)), ((5,), (3, 5)), ((2, 3, 5), (4, 5)), ((2, 2, 3, 5), (7, 5)),
                 ((37, 129), (65, 129))):
        g.case("affine", [x, w, w[:1]], F.linear)
        g.case("affine", [x, w], F.linear)

    # ---- elementwise functions of one tensor ----
    for shape in ((), (3, 7), (2, 3, 4), (1, 2, 2, 33), (131,)):
        g.case("relu", [shape], F.relu, [AWAY])
        g.case("leaky_relu", [shape], lambda x: F.leaky_relu(x, 0.125), [AWAY], factor=0.125)
        for name, f, kind in (("tanh", torch.tanh, REAL), ("sigmoid", torch.sigmoid, REAL), ("gelu", F.gelu, REAL),
                              ("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), REAL), ("silu", F.silu, REAL),
                              ("exp", torch.exp, REAL), ("log", torch.log, POSITIVE), ("sqrt", torch.sqrt, POSITIVE)):
            g.case(name, [shape], f, [kind])

    # ---- softmax and losses ----
    for shape in ((4, 7), (5,), (2, 3, 4), (3, 1), (2, 2, 2, 65)):
        g.case("softmax", [shape], lambda x: F.softmax(x, -1))
        g.case("log_softmax", [shape], lambda x: F.log_softmax(x, -1))
    entropy = lambda x, i: F.cross_entropy(x.reshape(-1, x.shape[-1]), i.reshape(-1))
    g.case("cross_entropy", [(5, 4)], entropy, ints=[0, 3, 1, 1, 2])
    g.case("cross_entropy", [(1, 3)], entropy, ints=[2])
    g.case("cross_entropy", [(4,)], entropy, ints=[1])
    g.case("cross_entropy", [(9, 33)], entropy, ints=[0, 32, 7, 7, 16, 31, 1, 2, 15])
    g.case("cross_entropy", [(5, 4)], entropy, ints=[-100, 3, -100, 1, 2])
    g.case("cross_entropy", [(2, 3, 5)], entropy, ints=[0, 4, 1, 1, -100, 2])
    g.case("cross_entropy", [(2, 3, 5)], entropy, ints=[0, 4, 1, 1, -100, 2], ints_shape=[2, 3])
    for shape, labels, ignore in (((5, 4), [0, 3, 1, 1, 2], 1), ((4, 3), [-1, 2, -1, 0], -1)):
        g.case("cross_entropy_ignore", [shape], lambda x, i: F.cross_entropy(x, i, ignore_index=ignore),
               ints=labels, args=[ignore])
    for shape in ((4, 3), (1,), (7,), (2, 3, 4), (2, 2, 2, 17)):
        g.case("mse", [shape, shape], F.mse_loss)
        g.case("bce_with_logits", [shape, shape], F.binary_cross_entropy_with_logits, [REAL, UNIT], constant=(1,))

    # ---- sums ----
    for shape in ((), (1,), (7,), (3, 5), (2, 3, 4), (2, 3, 4, 5), (33, 65)):
        kind = [POSITIVE if shape == (33, 65) else REAL]        # a long sum of either sign has no relative accuracy
        g.case("sum", [shape], torch.sum, kind)
        g.case("mean", [shape], torch.mean, kind)
        for axis in range(len(shape)):
            g.case("sum_axis", [shape], lambda x: torch.sum(x, axis), kind, args=[axis])
            g.case("mean_axis", [shape], lambda x: torch.mean(x, axis), kind, args=[axis])

    # ---- moving numbers ----
    for a, b in (((3, 4), (12,)), ((12,), (2, 3, 2)), ((2, 3, 4), (4, 6)), ((2, 3, 4), (2, 3, 2, 2)), ((1,), ()),
                 ((), (1, 1))):
        g.case("reshape", [a], lambda x: x.reshape(b))

    def permuted(shape, axes):
        g.case("permute", [shape], lambda x: x.permute(axes), args=axes)

    for shape in ((5,), (3, 5), (2, 3, 4), (2, 3, 4, 5)):
        for axes in itertools.permutations(range(len(shape))):
            permuted(shape, axes)
    permuted((33, 65), (1, 0))
    permuted((3, 17, 40), (0, 2, 1))
    joined = lambda *x: torch.cat(x, axis)
    for axis, shapes in ((0, [(3,), (1,), (4,)]), (0, [(2, 3), (1, 3)]), (1, [(2, 3), (2, 1)]),
                         (0, [(1, 3, 2), (2, 3, 2)]), (1, [(2, 1, 2), (2, 4, 2), (2, 2, 2)]),
                         (2, [(2, 3, 5), (2, 3, 1)]), (0, [(1, 2, 2, 3), (2, 2, 2, 3)]),
                         (1, [(2, 1, 2, 3), (2, 2, 2, 3)]), (2, [(2, 2, 1, 3), (2, 2, 2, 3)]),
                         (3, [(2, 2, 2, 1), (2, 2, 2, 4)]), (1, [(2, 1 + i % 3) for i in range(8)]),
                         (0, [(1 + i % 2, 2) for i in range(8)]), (0, [(4, 2)])):
        g.case("concat", shapes, joined, args=[axis])
    for shape, axis, low, high in (((7,), 0, 2, 5), ((4, 5), 0, 0, 2), ((4, 5), 1, 4, 5), ((4, 5), 1, 0, 5),
                                   ((3, 4, 2), 0, 1, 3), ((3, 4, 2), 1, 1, 2), ((3, 4, 2), 2, 1, 2),
                                   ((2, 3, 4, 5), 0, 1, 2), ((2, 3, 4, 5), 1, 1, 3),
                                   ((2, 3, 4, 5), 2, 0, 3), ((2, 3, 4, 5), 3, 2, 4)):
        g.case("slice", [shape], lambda x: x.narrow(axis, low, high - low), args=[axis, low, high])
    g.case("gather_rows", [(5, 3)], lambda x, i: x[i],
           ints=[4, 0, 0, 2, 0])
    g.case("gather_rows", [(6, 4)], lambda x, i: x[i], ints=[5, 1, 1, 3, 0, 5], ints_shape=[2, 3])
    g.case("gather_rows", [(1, 1)], lambda x, i: x[i], ints=[0, 0])
    g.case("gather_rows", [(9, 33)], lambda x, i: x[i], ints=[8, 8, 3, 0, 8, 1, 2])

    # ---- a tensor with several uses: gradients add up ----
    g.case("reuse", [(3, 4)], lambda x: x * (x + torch.tanh(x)))
    g.case("reuse_weight", [(3, 4), (4, 4)], lambda x, w: F.linear(torch.tanh(F.linear(x, w)), w))


def initialisers():
    """Fans and gains as torch.nn.init has them."""
    shapes = [(30, 50), (12, 40, 5), (16, 8, 3, 5), (200, 7)]
    rows = []
    for s in shapes:
        fan_in, fan_out = torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(s))
        rows.append("{ %d,{%s}, %d,%d }" % (len(s), integers(s), fan_in, fan_out))
    gains = []
    for name, of, slope in (("BADM_GAIN_LINEAR", "linear", 0), ("BADM_GAIN_SIGMOID", "sigmoid", 0),
                            ("BADM_GAIN_TANH", "tanh", 0), ("BADM_GAIN_RELU", "relu", 0),
                            ("BADM_GAIN_LEAKY_RELU", "leaky_relu", 0.01),
                            ("BADM_GAIN_LEAKY_RELU", "leaky_relu", math.sqrt(5)), ("BADM_GAIN_SELU", "selu", 0)):
        value = torch.nn.init.calculate_gain(of, slope) if of == "leaky_relu" else torch.nn.init.calculate_gain(of)
        gains.append("{ %s, %s, %s }" % (name, number(slope), number(value)))
    return rows, gains


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
    operations(g)
    fans, gains = initialisers()
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "operations.h")
    with open(path, "w") as out:
        out.write("/* Made by make_operations.py with PyTorch; not edited by hand. Read through tests/golden.h. */\n\n")
        for kind, name, items in (("float", "values", [number(v) for v in g.values]),
                                  ("int32_t", "ints", [str(i) for i in g.ints]),
                                  ("golden_tensor", "tensors", g.tensors), ("golden_case", "cases", g.cases),
                                  ("golden_fan", "fans", fans), ("golden_gain", "gains", gains)):
            out.write("static const %s golden_%s[] = {\n%s\n};\n\n" % (kind, name, lines(items)))
    print("operations.h: %d cases, %d numbers, %d bytes" % (len(g.cases), len(g.values), os.path.getsize(path)))


if __name__ == "__main__":
    main()
