#!/usr/bin/env python3
"""pdADMM (arXiv 2009.02868) in NumPy, written from the formulas alone, for tests/test_pdadmm.c.

    python3 tests/golden/make_pdadmm.py        writes pdadmm.h beside this file

Double precision, every trial step of the backtracking evaluated, z of the last layer by Newton's method. Inputs are those of
golden_fill() in tests/golden.h. Numbers are W and b after STEPS iterations and each iteration's Lagrangian, primal residual and change.
"""
import os

import numpy as np

from make_operations import REAL, fill, number

WIDTHS, SAMPLES, STEPS = (6, 9, 8, 4), 40, 8
NU, RHO = 0.05, 0.2
LAYERS = len(WIDTHS) - 1


def relu(x):
    return np.maximum(x, 0)


def cross_entropy(z, labels):
    top = z.max(1, keepdims=True)
    return (np.log(np.exp(z - top).sum(1)) + top[:, 0] - z[np.arange(len(z)), labels]).sum()


def backtrack(value, slope, at, start):
    """at - slope/t for the first t of start, 2 start, ... with value(new) <= value - |slope|^2/t + |slope|^2/(2t)."""
    t, here, square = start, value(at), (slope ** 2).sum()
    while value(at - slope / t) > here - square / (2 * t) * (1 - 1e-12):
        t *= 2
    return at - slope / t


def newton(a, z, labels):
    """min CE(z) + NU/2 |z - a|^2, sample by sample."""
    z = z.copy()
    for i, label in enumerate(labels):
        for _ in range(60):
            e = np.exp(z[i] - z[i].max())
            p = e / e.sum()
            g = p - np.eye(len(p))[label] + NU * (z[i] - a[i])
            h = np.diag(p) - np.outer(p, p) + NU * np.eye(len(p))
            d = np.linalg.solve(h, g)
            cost = lambda x: cross_entropy(x[None], labels[i:i + 1]) + NU / 2 * ((x - a[i]) ** 2).sum()
            t = 1.0
            while t > 1e-9 and cost(z[i] - t * d) > cost(z[i]):
                t /= 2
            z[i] -= t * d
    return z


def main():
    x = fill(REAL, 1, SAMPLES * WIDTHS[0]).reshape(SAMPLES, -1)
    labels = np.arange(SAMPLES) * 7 % WIDTHS[-1]
    w = [0.5 * fill(REAL, 10 + l, WIDTHS[l + 1] * WIDTHS[l]).reshape(WIDTHS[l + 1], WIDTHS[l]) for l in range(LAYERS)]
    b = [0.25 * fill(REAL, 20 + l, WIDTHS[l + 1]) for l in range(LAYERS)]
    p, z, q, u = [x], [], [], []
    for l in range(LAYERS):
        z.append(p[l] @ w[l].T + b[l])
        if l + 1 < LAYERS:
            q.append(relu(z[l]))
            u.append(np.zeros_like(q[l]))
            p.append(q[l].copy())
    curve = []
    for _ in range(STEPS):
        before = [v.copy() for part in (p, w, b, z, q, u) for v in part]
        for l in range(1, LAYERS):
            value = lambda v: (NU / 2 * ((z[l] - v @ w[l].T - b[l]) ** 2).sum() + (u[l - 1] * (v - q[l - 1])).sum()
                               + RHO / 2 * ((v - q[l - 1]) ** 2).sum())
            slope = NU * (p[l] @ w[l].T + b[l] - z[l]) @ w[l] + u[l - 1] + RHO * (p[l] - q[l - 1])
            p[l] = backtrack(value, slope, p[l], RHO)
        for l in range(LAYERS):
            value = lambda v: NU / 2 * ((z[l] - p[l] @ v.T - b[l]) ** 2).sum()
            slope = NU * (p[l] @ w[l].T + b[l] - z[l]).T @ p[l]
            w[l] = backtrack(value, slope, w[l], NU)
        for l in range(LAYERS):
            b[l] = (z[l] - p[l] @ w[l].T).mean(0)
        for l in range(LAYERS):
            a = p[l] @ w[l].T + b[l]
            if l + 1 == LAYERS:
                z[l] = newton(a, z[l], labels)
                continue
            below, above = np.minimum((a + z[l]) / 2, 0), np.maximum((a + z[l] + q[l]) / 3, 0)
            cost = lambda v: (v - a) ** 2 + (q[l] - relu(v)) ** 2 + (v - z[l]) ** 2
            z[l] = np.where(cost(above) < cost(below), above, below)
        for l in range(LAYERS - 1):
            q[l] = (RHO * p[l + 1] + u[l] + NU * relu(z[l])) / (RHO + NU)
        for l in range(LAYERS - 1):
            u[l] = u[l] + RHO * (p[l + 1] - q[l])
        lagrangian = cross_entropy(z[-1], labels) + sum(NU / 2 * ((z[l] - p[l] @ w[l].T - b[l]) ** 2).sum() for l in range(LAYERS))
        lagrangian += sum(NU / 2 * ((q[l] - relu(z[l])) ** 2).sum() + (u[l] * (p[l + 1] - q[l])).sum()
                          + RHO / 2 * ((p[l + 1] - q[l]) ** 2).sum() for l in range(LAYERS - 1))
        primal = sum(((p[l + 1] - q[l]) ** 2).sum() for l in range(LAYERS - 1)) ** 0.5
        change = sum(((v - o) ** 2).sum() for v, o in zip([v for part in (p, w, b, z, q, u) for v in part], before)) ** 0.5
        curve.append((lagrangian, primal, change))
    lines = ["/* Written by make_pdadmm.py with NumPy; do not edit. */",
             "enum { GOLDEN_SAMPLES = %d, GOLDEN_LAYERS = %d, GOLDEN_STEPS = %d };" % (SAMPLES, LAYERS, STEPS),
             "static const badm_dim golden_widths[] = { %s };" % ", ".join(map(str, WIDTHS)),
             "static const float golden_nu = %s, golden_rho = %s;" % (number(NU), number(RHO))]
    for name, items in (("weights", np.concatenate([v.ravel() for v in w])), ("biases", np.concatenate(b)),
                        ("curve", np.array(curve).ravel())):
        lines.append("static const float golden_%s[] = { %s };" % (name, ", ".join(number(float(v)) for v in items)))
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "pdadmm.h"), "w") as f:
        f.write("\n".join(lines) + "\n")
    for step in curve:
        print("%.6f %.6f %.6f" % step)


if __name__ == "__main__":
    main()
