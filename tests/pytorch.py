#!/usr/bin/env python3
"""What badm_save() wrote loads in PyTorch, strictly, and gives the same outputs.

    python3 tests/pytorch.py FOLDER         with state.safetensors and outputs.npy from tests/write_pytorch.c
"""
import os
import sys

import numpy as np
import torch

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden"))
import make_pytorch                                                                                 # noqa: E402

folder = sys.argv[1]
path = os.path.join(folder, "state.safetensors")
try:
    from safetensors.torch import load_file as load
except ImportError:
    load = make_pytorch.load
net = make_pytorch.Net()
net.load_state_dict(load(path), strict=True)
net.eval()
with torch.no_grad():
    y = net(*make_pytorch.inputs()).numpy()
difference = np.abs(y - np.load(os.path.join(folder, "outputs.npy"))).max()
print("outputs differ by %.1e of %.1e; num_batches_tracked %d" % (difference, np.abs(y).max(), net.norm1.num_batches_tracked))
sys.exit(not (difference < 1e-5 and net.norm1.num_batches_tracked == 20))
