#!/usr/bin/env python3
"""Reference values of the GRU cell, forward and backward, from PyTorch, for tests/test_recurrent.c.

    python3 tests/golden/make_recurrent.py          writes recurrent.h beside this file

As make_normalisation.py, whose functions it uses.
"""
import torch

from make_normalisation import Golden


def gates(a, b, h):
    """torch.nn.GRUCell behind its two products."""
    i, j, k = a.chunk(3, -1)
    l, m, n = b.chunk(3, -1)
    r, z = torch.sigmoid(i + l), torch.sigmoid(j + m)
    new = torch.tanh(k + r * n)
    return new + z * (h - new)


def cell(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    layer = torch.nn.GRUCell(x.shape[1], h.shape[1]).double()
    state = {"weight_ih": weight_ih, "weight_hh": weight_hh, "bias_ih": bias_ih, "bias_hh": bias_hh}
    return torch.nn.utils.stateless.functional_call(layer, state, (x, h))


def main():
    g = Golden()
    for n, hidden in ((1, 1), (3, 5), (2, 16), (7, 33), (16, 64)):
        g.case("gru_gates", [(n, 3 * hidden), (n, 3 * hidden), (n, hidden)], gates)
    for n, width, hidden in ((1, 1, 1), (3, 4, 5), (6, 9, 17)):
        g.case("gru", [(n, width), (n, hidden), (3 * hidden, width), (3 * hidden, hidden), (3 * hidden,), (3 * hidden,)], cell)
    g.write("make_recurrent.py", "recurrent.h")


main()
