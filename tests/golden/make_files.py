#!/usr/bin/env python3
"""Makes the small files tests/test_files.c reads: python3 tests/golden/make_files.py (needs numpy).

The safetensors file is written by hand from the format's description, with everything a writer may do and badm.h itself
does not: data in another order than the header, blanks, escapes in names, metadata, a tensor that a model ignores.
Value i of a tensor is (i - 3)/4.
"""
import os
import struct

import numpy as np

here = os.path.dirname(os.path.abspath(__file__))


def values(*shape):
    return ((np.arange(int(np.prod(shape))) - 3) / 4).reshape(shape)


def write(name, data):
    with open(os.path.join(here, name), "wb") as f:
        f.write(data)


def npy(name, array, version):
    with open(os.path.join(here, name), "wb") as f:
        np.lib.format.write_array(f, array, version=version)


# The header lists fc1.weight first; its data come last.
header = ('{ "fc1.weight" : {"dtype":"F32", "shape":[4,3], "data_offsets":[48,96]},\n'
          '"__metadata__":{"format":"pt","note":"a \\"quoted\\" word\\n"},\t'
          '"fc1.b\\u0069as":{"data_offsets":[32,48],"shape":[4],"dtype":"F32"},'
          '"fc2.weight":{"dtype":"F32","shape":[2,4],"data_offsets":[0,32]},'
          '"badm.\\/\\u00e9\\ud83d\\ude00":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},'
          '"scalar":{"dtype":"F32","shape":[],"data_offsets":[96,100]} }').encode()
header += b" " * (-len(header) % 8)
data = b"".join(values(*s).astype("<f4").tobytes() for s in [(2, 4), (4,), (4, 3), ()])
write("torch.safetensors", struct.pack("<Q", len(header)) + header + data)

npy("f4.npy", values(2, 3).astype("<f4"), (1, 0))
npy("f8_big.npy", values(2, 3).astype(">f8"), (2, 0))
npy("f4_scalar.npy", np.array(0.25, dtype="<f4"), (1, 0))
npy("u1.npy", np.arange(6, dtype="u1").reshape(1, 2, 3, 1), (3, 0))
npy("i1.npy", np.arange(-3, 3, dtype="i1"), (1, 0))
npy("i2_big.npy", np.arange(-3, 3, dtype=">i2") * 1000, (1, 0))
npy("i4.npy", np.arange(-3, 3, dtype="<i4") * 100000, (1, 0))
npy("i8.npy", np.arange(-3, 3, dtype="<i8") * 100000, (1, 0))
npy("i8_large.npy", np.array([0, 2 ** 31], dtype="<i8"), (1, 0))
npy("f2.npy", values(2, 3).astype("<f2"), (1, 0))
npy("fortran.npy", np.asfortranarray(values(2, 3).astype("<f4")), (1, 0))
npy("rank5.npy", values(1, 1, 1, 2, 3).astype("<f4"), (1, 0))
npy("records.npy", np.zeros(2, dtype=[("a", "<f4"), ("b", "<i4")]), (1, 0))

for code, dtype in [(8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")]:
    data = np.arange(6).reshape(2, 3).astype(dtype).tobytes()
    write("idx%02x" % code, bytes([0, 0, code, 2]) + struct.pack(">II", 2, 3) + data)
