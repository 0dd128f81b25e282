#!/usr/bin/env python3
"""Reference values of sparse products and of the matrix of a graph convolution, from PyTorch, for tests/test_sparse.c.

    python3 tests/golden/make_sparse.py        writes sparse.h beside this file

Needs torch and numpy; tests need neither, since sparse.h is committed. Computed in double precision from inputs that are exact in
float; the dense inputs are made by make_operations.py and golden_fill() in tests/golden.h alike.
"""
import os

import numpy as np
import torch

from make_operations import REAL, fill, number


def made(seed, shape):
    return torch.tensor(fill(REAL, seed, int(np.prod(shape)))).reshape(shape)


# Entries in no order, two places named twice, row 2 and column 3 empty.
ROWS, COLS, WIDTH = 5, 6, 7
ENTRIES = [(4, 0, 1.5), (0, 5, -2.0), (0, 1, 0.25), (3, 2, 3.0), (1, 1, -0.75), (0, 5, 0.5), (3, 4, 1.0), (4, 2, -1.25),
           (4, 0, 2.0), (1, 0, 4.0), (3, 0, 0.125)]
# Some edges twice or in both directions, a loop, and a node (6) without any.
NODES = 7
EDGES = [(0, 1), (1, 0), (3, 2), (5, 0), (2, 2), (4, 3), (5, 0), (1, 4), (0, 3)]


def numbers(values):
    return ", ".join(number(float(v)) for v in np.asarray(values).ravel())


def main():
    row, column, value = zip(*ENTRIES)
    sparse = torch.sparse_coo_tensor([row, column], torch.tensor(value, dtype=torch.float64), (ROWS, COLS)).coalesce()
    x = made(31, (COLS, WIDTH)).requires_grad_()
    dy = made(32, (ROWS, WIDTH))
    y = torch.sparse.mm(sparse, x)
    y.backward(dy)

    adjacency = torch.eye(NODES, dtype=torch.float64)
    for a, b in EDGES:
        adjacency[a, b] = adjacency[b, a] = 1
    root = adjacency.sum(1).rsqrt()
    graph = root[:, None] * adjacency * root[None, :]

    sizes = (("ROWS", ROWS), ("COLS", COLS), ("WIDTH", WIDTH), ("ENTRIES", len(ENTRIES)), ("NODES", NODES), ("EDGES", len(EDGES)))
    lines = ["/* Written by make_sparse.py with PyTorch %s; do not edit. */" % torch.__version__.split("+")[0],
             "enum { %s };" % ", ".join("GOLDEN_%s = %d" % size for size in sizes)]
    for name, items in (("row", row), ("column", column), ("from", [a for a, b in EDGES]), ("to", [b for a, b in EDGES])):
        lines.append("static const uint32_t golden_%s[] = { %s };" % (name, ", ".join(str(i) for i in items)))
    for name, items in (("value", value), ("product", y.detach()), ("gradient", x.grad), ("graph", graph)):
        lines.append("static const float golden_%s[] = { %s };" % (name, numbers(items)))
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "sparse.h"), "w") as f:
        f.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
