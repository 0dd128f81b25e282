"""pdADMM in NumPy, float32, for methods.py: the work of `pdadmm serve`, spoken to as worker.h says.

    python3 bench/numpy_pdadmm.py FOLDER

The same five products a layer and iteration: the residual follows every move, the backtracking test is evaluated in closed form, and FISTA
has the same step, restarts and end. Elementwise work goes through `out=` where that saves a pass.
"""
import os
import sys
import time

import numpy as np

NU, RHO = np.float32(1e-2), np.float32(4e-2)
FISTA, TOLERANCE, STEP = 500, 1e-4, np.float32(2)


def backtrack(start, curvature):
    while start < curvature:
        start *= 2
    return np.float32(start)


def fista(a, z, labels):
    """min CE(z) + NU/2 |z - a|^2, all rows at once; those at rest are left alone."""
    rows = np.arange(len(z))
    y, last, t = z.copy(), z.copy(), np.float32(1)
    for _ in range(FISTA):
        soft = np.exp(y - y.max(1, keepdims=True))
        soft /= soft.sum(1, keepdims=True)
        soft[rows, labels] -= 1
        following = (NU * a + (y - STEP * soft) / STEP) / (NU + 1 / STEP)
        step = following - last
        grown = (1 + np.sqrt(1 + 4 * t * t)) / 2
        momentum = (t - 1) / grown
        if np.vdot(y - following, step) > 0:
            momentum, grown = np.float32(0), np.float32(1)
        y = following + momentum * step
        last, t = following, grown
        if np.abs(step).max() <= TOLERANCE:
            break
    return last


class Solver:
    def __init__(self, folder):
        x = np.load(os.path.join(folder, "x.npy"))
        self.w = []
        while os.path.exists(os.path.join(folder, "w%d.npy" % (len(self.w) + 1))):
            self.w.append(np.load(os.path.join(folder, "w%d.npy" % (len(self.w) + 1))))
        self.labels = np.arange(len(x)) * 7 % 10
        self.b = [np.zeros(len(w), np.float32) for w in self.w]
        self.p, self.z, self.q, self.u = [x], [], [], []
        for l, w in enumerate(self.w):
            self.z.append(self.p[l] @ w.T + self.b[l])
            if l + 1 < len(self.w):
                self.q.append(np.maximum(self.z[l], 0))
                self.u.append(np.zeros_like(self.q[l]))
                self.p.append(self.q[l].copy())

    def fit(self, l):
        p, w, z = self.p[l], self.w[l], self.z[l]
        r = p @ w.T
        r += self.b[l]
        r -= z
        if l > 0:
            g = r @ w
            g *= NU
            g += self.u[l - 1]
            g += RHO * (p - self.q[l - 1])
            effect = g @ w.T
            tau = backtrack(RHO, RHO + NU * np.vdot(effect, effect) / max(np.vdot(g, g), 1e-30))
            g /= tau
            p -= g
            effect /= tau
            r -= effect
        g = r.T @ p
        g *= NU
        effect = p @ g.T
        theta = backtrack(NU, NU * np.vdot(effect, effect) / max(np.vdot(g, g), 1e-30))
        w -= g / theta
        effect /= theta
        r -= effect
        mean = r.mean(0)
        self.b[l] -= mean
        r -= mean
        a = z + r
        if l + 1 == len(self.w):
            self.z[l] = fista(a, z, self.labels)
            return
        q = self.q[l]
        below = np.minimum((a + z) / 2, 0)
        above = np.maximum((a + z + q) / 3, 0)
        worse = (above - a) ** 2 + (above - z) ** 2 + (q - above) ** 2 >= (below - a) ** 2 + (below - z) ** 2 + q ** 2
        self.z[l] = np.where(worse, below, above)

    def link(self, l):
        q = RHO * self.p[l + 1]
        q += self.u[l]
        q += NU * np.maximum(self.z[l], 0)
        q /= RHO + NU
        self.q[l] = q
        self.u[l] += RHO * (self.p[l + 1] - q)

    def iterate(self):
        for l in range(len(self.w)):
            self.fit(l)
        for l in range(len(self.w) - 1):
            self.link(l)


def main():
    solver = Solver(sys.argv[1])
    began = time.perf_counter()
    solver.iterate()
    solver.iterate()
    times = max(1, round(0.6 / (time.perf_counter() - began)))
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        for _ in range(times):
            solver.iterate()
        print("%.9g" % ((time.perf_counter() - began) / times), flush=True)
    print("loss %.9g" % float(np.abs(solver.z[-1]).mean()), flush=True)


if __name__ == "__main__":
    main()
