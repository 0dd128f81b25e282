"""Logistic regression on sparse rows in PyTorch, for methods.py: the work of `sparse serve`, spoken to as worker.h says.

    /usr/bin/python3 bench/pytorch_sparse.py FILE BATCH THREADS

An embedding bag with a weight for each entry and sparse gradients, plain SGD, a fresh order every epoch; rows are flat arrays.
"""
import gzip
import sys
import time

import numpy as np


def read(path):
    opened = gzip.open(path, "rt") if path.endswith(".gz") else open(path, encoding="ascii")
    labels, start, column, value = [], [0], [], []
    with opened as lines:
        for line in lines:
            words = line.split()
            labels.append(float(words[0]) > 0)
            for word in words[1:]:
                k, v = word.split(":")
                column.append(int(k) - 1)
                value.append(float(v))
            start.append(len(column))
    return np.array(labels, np.float32), np.array(start), np.array(column), np.array(value, np.float32)


def main():
    import torch        # here, because methods.py wants read() where there may be no PyTorch
    path, batch, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(threads)
    labels, start, column, value = read(path)
    n = len(labels)
    y, start, column, value = torch.from_numpy(labels), torch.from_numpy(start), torch.from_numpy(column), torch.from_numpy(value)
    lengths = start[1:] - start[:-1]
    weights = torch.nn.EmbeddingBag(int(column.max()) + 1, 1, mode="sum", sparse=True)
    weights.weight.data.zero_()
    bias = torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.SGD([weights.weight, bias], lr=0.1)
    last = 0.0

    def epoch():
        nonlocal last
        order = torch.randperm(n)
        for first in range(0, n, batch):
            rows = order[first:first + batch]
            count = lengths[rows]
            offsets = torch.cumsum(count, 0) - count
            entries = torch.repeat_interleave(start[rows] - offsets, count) + torch.arange(int(count.sum()))
            optimiser.zero_grad(set_to_none=True)
            margin = weights(column[entries], offsets, per_sample_weights=value[entries])[:, 0] + bias
            loss = torch.nn.functional.binary_cross_entropy_with_logits(margin, y[rows])
            loss.backward()
            optimiser.step()
        last = loss.item()

    epoch()
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        epoch()
        print("%.9g" % (time.perf_counter() - began), flush=True)
    print("loss %.6g" % last)


if __name__ == "__main__":
    main()
