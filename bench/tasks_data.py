"""Turns the data sets of a folder into .npy files that bench/tasks.c and bench/pytorch_tasks.py read.

    /usr/bin/python3 bench/tasks_data.py DATA OUT       DATA as the README of the project describes it; what is missing is named
"""
import gzip
import os
import sys

import numpy


def read(path):
    """The bytes of path or path.gz."""
    if os.path.exists(path):
        with open(path, "rb") as f:
            return f.read()
    with gzip.open(path + ".gz", "rb") as f:
        return f.read()


def idx(path):
    data = read(path)
    rank = data[3]
    shape = numpy.frombuffer(data, ">u4", rank, 4)
    return numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * rank).reshape([int(d) for d in shape])


def images(folder, name, out):
    for part, prefix in (("train", "train"), ("test", "t10k")):
        numpy.save("%s/%s_%s_images.npy" % (out, name, part), idx("%s/%s-images-idx3-ubyte" % (folder, prefix)))
        numpy.save("%s/%s_%s_labels.npy" % (out, name, part), idx("%s/%s-labels-idx1-ubyte" % (folder, prefix)))


def text(path, out):
    data = numpy.frombuffer(read(path), numpy.uint8)
    numpy.save(out + "/text.npy", numpy.unique(data, return_inverse=True)[1].astype(numpy.uint8))


def cora(folder, out):
    rows = [line.split() for line in read(folder + "/cora.content").decode().splitlines()]
    node = {row[0]: i for i, row in enumerate(rows)}
    classes = sorted({row[-1] for row in rows})
    row, column = numpy.nonzero(numpy.array([[int(v) for v in r[1:-1]] for r in rows]))
    edges = [line.split() for line in read(folder + "/cora.cites").decode().splitlines()]
    for name, values in (("row", row), ("column", column), ("labels", [classes.index(r[-1]) for r in rows]),
                         ("from", [node[a] for a, _ in edges]), ("to", [node[b] for _, b in edges])):
        numpy.save("%s/cora_%s.npy" % (out, name), numpy.array(values, numpy.int32))


def main():
    data, out = sys.argv[1:]
    os.makedirs(out, exist_ok=True)
    jobs = ((images, "mnist", "mnist"), (images, "fashion-mnist", "fashion"), (text, "text/tinyshakespeare.txt", None),
            (cora, "graphs/cora", None))
    missing = 0
    for job, place, name in jobs:
        path = os.path.join(data, place)
        try:
            job(*([path] + ([name] if name else []) + [out]))
        except OSError as error:
            print("tasks: %s is missing (%s)" % (place, error.strerror))
            missing = 1
    return missing


if __name__ == "__main__":
    sys.exit(main())
