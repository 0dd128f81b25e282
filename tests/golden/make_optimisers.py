#!/usr/bin/env python3
"""Twenty steps of PyTorch's optimisers on a small fixed problem, for tests/test_baselines.c.

    python3 tests/golden/make_optimisers.py        writes optimisers.h beside this file

Needs torch and numpy; tests need neither, since optimisers.h is committed. In double precision, with settings rounded
to float as the library takes them: what the test measures is the library's own rounding.

The problem: a network 2-3-1 with tanh and mean squared error on 11 samples (three sub-batches of them are uneven). Its
initial weights, inputs and targets are fill() of the seeds below; tests/golden.h has the same function. Step sizes are
large, so that the parameters travel far and an error in any term shows, but not so large that rounding grows: PyTorch's
own run in float must stay within a fifth of the tests' tolerance.
"""
import os

import numpy as np
import torch
import torch.nn.functional as F

SAMPLES, INPUTS, HIDDEN, OUTPUTS, STEPS = 11, 2, 3, 1, 20
NAMES = ("hidden.weight", "hidden.bias", "output.weight", "output.bias")
SHAPES = ((HIDDEN, INPUTS), (HIDDEN,), (OUTPUTS, HIDDEN), (OUTPUTS,))
SEED_X, SEED_Y, SEED_W = 901, 902, 903          # parameter k is filled from SEED_W + k


def fill(seed, n):
    """[-2,2): the REAL kind of make_operations.py."""
    i = np.arange(n, dtype=np.uint32)
    with np.errstate(over="ignore"):
        h = i * np.uint32(0x9E3779B9) + np.uint32(seed) * np.uint32(0x85EBCA6B) + np.uint32(1)
        h ^= h >> np.uint32(16)
        h *= np.uint32(0x7FEB352D)
        h ^= h >> np.uint32(15)
        h *= np.uint32(0x846CA68B)
        h ^= h >> np.uint32(16)
    return 4 * ((h >> np.uint32(8)).astype(np.float64) / 2.0 ** 24) - 2


def f32(x):
    return float(np.float32(x))


def number(x):
    text = "%.9g" % x
    return text + ("f" if "." in text or "e" in text else ".0f")


def short(x):
    """The few digits a setting was written with; the same float."""
    text = "%.6g" % x
    assert f32(text) == x
    return text + ("f" if "." in text or "e" in text else ".0f")


DEFAULTS = dict(lr=0.0, beta1=0.9, beta2=0.999, eps=1e-8, momentum_decay=4e-3, weight_decay=0.0, clip=0.0,
                total=0, last=0.0, groups=0)


def optimiser(method, groups, o):
    lr, wd = o["lr"], o["weight_decay"]
    if method == "sgd":
        return torch.optim.SGD(groups, lr=lr, weight_decay=wd)
    if method == "momentum":
        return torch.optim.SGD(groups, lr=lr, momentum=o["beta1"], weight_decay=wd)
    if method == "nesterov":
        return torch.optim.SGD(groups, lr=lr, momentum=o["beta1"], weight_decay=wd, nesterov=True)
    if method == "rmsprop":
        return torch.optim.RMSprop(groups, lr=lr, alpha=o["beta2"], eps=o["eps"], weight_decay=wd)
    if method == "adagrad":
        return torch.optim.Adagrad(groups, lr=lr, eps=o["eps"], weight_decay=wd)
    betas = (o["beta1"], o["beta2"])
    if method == "adam":
        return torch.optim.Adam(groups, lr=lr, betas=betas, eps=o["eps"], weight_decay=wd)
    if method == "adamw":
        return torch.optim.AdamW(groups, lr=lr, betas=betas, eps=o["eps"], weight_decay=wd)
    decoupled = method == "nadamw"      # older versions of torch have no decoupled NAdam: run() decays before the step
    for g in groups:
        g["decay_before"] = g["weight_decay"] if decoupled else 0.0
        if decoupled:
            g["weight_decay"] = 0.0
    # foreach: in torch 1.13 the loop over single tensors counts one mu twice in the product of the documented algorithm
    return torch.optim.NAdam(groups, lr=lr, betas=betas, eps=o["eps"], momentum_decay=o["momentum_decay"], foreach=True)


def run(method, o, dtype):
    x = torch.tensor(fill(SEED_X, SAMPLES * INPUTS), dtype=dtype).reshape(SAMPLES, INPUTS)
    y = torch.tensor(fill(SEED_Y, SAMPLES * OUTPUTS), dtype=dtype).reshape(SAMPLES, OUTPUTS)
    w = [torch.tensor(fill(SEED_W + k, int(np.prod(s))), dtype=dtype).reshape(s) for k, s in enumerate(SHAPES)]
    for v in w:
        v.requires_grad_(True)
    wd = o["weight_decay"]
    if o["groups"]:
        # output.bias is frozen, hidden.* decays threefold, hidden.weight steps half as far
        w[3].requires_grad_(False)
        groups = [dict(params=[w[0]], weight_decay=3 * wd, lr=0.5 * o["lr"]), dict(params=[w[1]], weight_decay=3 * wd),
                  dict(params=[w[2]], weight_decay=wd)]
    else:
        groups = [dict(params=w, weight_decay=wd)]
    opt = optimiser(method, groups, o)
    schedule = None
    if o["total"]:
        schedule = torch.optim.lr_scheduler.LinearLR(opt, 1.0, o["last"], o["total"])
    after, norms = [], []
    for _ in range(STEPS):
        opt.zero_grad()
        loss = F.mse_loss(F.linear(torch.tanh(F.linear(x, w[0], w[1])), w[2], w[3]), y)
        loss.backward()
        trained = [v for v in w if v.requires_grad]
        norm = float(torch.sqrt(sum((v.grad ** 2).sum() for v in trained)))
        norms.append(norm)
        if o["clip"] and norm > o["clip"]:      # torch's clip_grad_norm_ less its 1e-6 beside the norm
            for v in trained:
                v.grad *= o["clip"] / norm
        with torch.no_grad():
            for g in opt.param_groups:
                if g.get("decay_before"):
                    for v in g["params"]:
                        v *= 1 - g["lr"] * g["decay_before"]
        opt.step()
        if schedule:
            schedule.step()
        after.append(np.concatenate([v.detach().numpy().ravel() for v in w]))
    if o["clip"]:
        assert min(norms) < o["clip"] < max(norms), "the run has steps with and without clipping"
    return np.array(after)


def difference(a, b):
    """As the test measures it: the worst over all steps of each tensor's share of its largest entry."""
    worst, at = 0.0, 0
    for shape in SHAPES:
        to = at + int(np.prod(shape))
        worst = max(worst, (np.abs(a[:, at:to] - b[:, at:to]).max(1) / np.abs(a[:, at:to]).max(1)).max())
        at = to
    return worst


def main():
    runs, values = [], []

    def add(method, what, **options):
        o = dict(DEFAULTS, **options)
        for k in ("lr", "beta1", "beta2", "eps", "momentum_decay", "weight_decay", "clip", "last"):
            o[k] = f32(o[k])
        first = len(values)
        steps = run(method, o, torch.float64)
        assert difference(steps, run(method, o, torch.float32)) < 2e-6, "the run is well conditioned"
        values.extend(steps.ravel())
        settings = [short(o[k]) for k in ("lr", "beta1", "beta2", "eps", "momentum_decay", "weight_decay", "clip")]
        runs.append('{ "%s", "%s",\n        %s, %d, %s, %d, %d }' % (
            method, what, ", ".join(settings), o["total"], short(o["last"]), o["groups"], first))

    for method, lr in (("sgd", 0.1), ("momentum", 0.01), ("nesterov", 0.01), ("rmsprop", 0.01), ("adagrad", 0.2),
                       ("adam", 0.1), ("adamw", 0.1), ("nadam", 0.1), ("nadamw", 0.1)):
        beta2 = 0.98 if method in ("rmsprop", "adamw") else 0.999
        eps = 1e-3 if method in ("rmsprop", "nadam") else 1e-8
        add(method, "plain", lr=lr, beta2=beta2, eps=eps)
        add(method, "with weight decay", lr=lr, beta2=beta2, eps=eps, weight_decay=0.05)
    add("momentum", "clipped", lr=0.1, clip=1.0)
    add("adam", "clipped", lr=0.1, clip=1.0)
    add("nesterov", "with a linear schedule", lr=0.03, total=16, last=0.125)
    add("adamw", "with a linear schedule", lr=0.1, weight_decay=0.05, total=16, last=0.125)
    add("momentum", "with parameter groups", lr=0.05, weight_decay=0.05, groups=1)
    add("adamw", "with parameter groups", lr=0.1, weight_decay=0.05, groups=1)
    add("nadam", "with another momentum decay", lr=0.1, momentum_decay=0.5)

    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "optimisers.h")
    with open(path, "w") as out:
        out.write("/* Made by make_optimisers.py with PyTorch; not edited by hand. Read through tests/golden.h. */\n\n")
        out.write("static const golden_run golden_runs[] = {\n    %s\n};\n\n" % ",\n    ".join(runs))
        out.write("/* hidden.weight, hidden.bias, output.weight, output.bias after each step, run after run. */\n")
        out.write("static const float golden_steps[] = {\n")
        for i in range(0, len(values), 7):
            out.write("    " + " ".join(number(v) + "," for v in values[i:i + 7]) + "\n")
        out.write("};\n")
    print("%s: %d runs, %d bytes" % (os.path.basename(path), len(runs), os.path.getsize(path)))


main()
