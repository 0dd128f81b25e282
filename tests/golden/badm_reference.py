#!/usr/bin/env python3
"""An independent BADM in NumPy, float64, and the numbers tests/test_methods.c compares badm.h with.

    python3 tests/golden/badm_reference.py > tests/golden/badm_golden.h

Written from the paper's equations (arXiv 2407.01640; SISA: arXiv 2502.10784), not from badm.h. Every slot keeps its own
w_s and pi_s and the aggregate is the weighted sum of them, as printed in the paper; nothing is collapsed. Three small
problems with gradients by hand: a tanh network 5-6-3 with cross entropy (or with a sigmoid on each output), least
squares, logistic regression. Needs NumPy alone.

What the equations leave open, and how it is read here:
  - a batch of n samples is cut into S contiguous sub-batches, the first n mod S of them one sample longer;
  - clipping multiplies every slot's gradient by min(1, clip/|G|), G the mean gradient over all tensors, before any
    average is updated; from the second local step on, each slot's gradient by min(1, clip/|g_s|);
  - decoupled decay shrinks the point of linearisation where it enters the aggregate (w_s = (1 - wd/sigma) w + what the
    slot moved); the dual does not see it. With local steps the sigma of wd/sigma is the whole one;
  - the bias correction of second moments counts steps from 1; SISA's average is of (g_s + pi_s)^2;
  - with the orthogonal metric Q is shared by the slots: it is the one of the aggregated direction,
    Q^-1 u = orthogonalise(u), scale kept outside;
  - a tensor's step scale divides its sigma and its rho;
  - the residuals are those of the whole step, with decay and ridge, and with the whole sigma also where K > 1.
"""
import sys

import numpy as np

STEPS = 20
REPORTED = (0, 1, 6, 12, 19)        # the steps whose report is kept


# ---- problems: loss and gradients of the samples `index`, by hand ----

def f32(a):
    """Rounded to what badm.h is given."""
    return np.asarray(a, np.float32).astype(np.float64)


rng = np.random.default_rng(20240701)

net_x = f32(rng.normal(size=(24, 5)))
net_labels = rng.integers(0, 3, size=24)
net_start = {"fc1.weight": f32(rng.uniform(-0.6, 0.6, (6, 5))), "fc1.bias": f32(rng.uniform(-0.4, 0.4, 6)),
             "fc2.weight": f32(rng.uniform(-0.5, 0.5, (3, 6))), "fc2.bias": f32(rng.uniform(-0.4, 0.4, 3))}

line_x = f32(rng.normal(size=(23, 6)) * np.array([1.0, 0.8, 1.2, 0.5, 1.5, 0.9]))
line_y = f32(line_x @ rng.normal(size=6) + 0.3 * rng.normal(size=23))
line_class = (line_y > 0).astype(np.float64)
line_start = {"w.weight": f32(rng.uniform(-0.5, 0.5, (1, 6)))}


def network_forward(w, index):
    x = net_x[index]
    h = np.tanh(x @ w["fc1.weight"].T + w["fc1.bias"])
    return x, h, h @ w["fc2.weight"].T + w["fc2.bias"], np.eye(3)[net_labels[index]]


def network_backward(w, x, h, dz):
    da = (dz @ w["fc2.weight"]) * (1 - h * h)
    return {"fc1.weight": da.T @ x, "fc1.bias": da.sum(axis=0), "fc2.weight": dz.T @ h, "fc2.bias": dz.sum(axis=0)}


def network(w, index):
    x, h, z, onehot = network_forward(w, index)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return -np.mean(np.log(np.sum(p * onehot, axis=1))), network_backward(w, x, h, (p - onehot) / len(index))


def sigmoid_network(w, index):
    """For the orthogonal metric: the gradient of cross entropy to the last weight is singular (its rows add up to
    zero), and orthogonalising would amplify the rounding of its vanishing singular value beyond any comparison."""
    x, h, z, onehot = network_forward(w, index)
    loss = np.mean(np.maximum(z, 0) - z * onehot + np.log1p(np.exp(-np.abs(z))))
    return loss, network_backward(w, x, h, (1 / (1 + np.exp(-z)) - onehot) / z.size)


def least_squares(w, index):
    x, y = line_x[index], line_y[index]
    r = x @ w["w.weight"][0] - y
    return np.mean(r * r), {"w.weight": (2 / len(index) * (r @ x))[None, :]}


def logistic(w, index):
    x, y = line_x[index], line_class[index]
    z = x @ w["w.weight"][0]
    p = 1 / (1 + np.exp(-z))
    loss = np.mean(np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z))))
    return loss, {"w.weight": ((p - y) @ x / len(index))[None, :]}


PROBLEMS = {"NETWORK": (network, net_start, 24), "SIGMOIDS": (sigmoid_network, net_start, 24),
            "LEAST_SQUARES": (least_squares, line_start, 23), "LOGISTIC": (logistic, line_start, 23)}


# ---- which samples, which rates ----

def batch_index(samples, count, b):
    """Batch b: a walk through the data that visits it in a new order every time."""
    return (7 * (b * count + np.arange(count)) + 3 * b) % samples


def slot_sizes(n, S):
    return [n // S + (1 if s < n % S else 0) for s in range(S)]


def schedule_factor(c, step):
    """Of the step size. Linear warm-up (step+1)/warmup; linear and cosine decay run from there to `total`; the
    steps of a step decay are counted from the start."""
    if step < c["warmup"]:
        return (step + 1) / c["warmup"]
    kind = c["schedule"]
    after = step - c["warmup"]
    if kind == "BADM_CONSTANT_RATE":
        return 1.0
    if kind == "BADM_STEP_DECAY":
        return c["gamma"] ** (step // c["every"])
    p = min(1.0, after / (c["total"] - c["warmup"]))
    last = max(c["last"], 1e-6)
    if kind == "BADM_LINEAR_DECAY":
        return 1 + (last - 1) * p
    return last + (1 - last) * (1 + np.cos(np.pi * p)) / 2


def sigma_rho(c, step):
    factor = schedule_factor(c, step)
    sigma, rho = c["sigma"] / factor, c["rho"] / factor
    if c["varying"]:
        sigma *= 0.75 + (3 * step % 7) / 12
        rho *= 0.7 + (5 * step % 11) / 15
    return sigma, rho


# ---- orthogonalisation ----

TINY = 1e-30
GRAM = ((8.0934, -23.6204, 17.4462), (3.6366, -2.7219, 0.5365), (2.6613, -1.9772, 0.4526))


def orthogonalise(u, recipe):
    rows, cols = u.shape
    x = orthogonal_directions(u.T, recipe).T if rows > cols else orthogonal_directions(u, recipe)
    return x * max(1.0, rows / cols) ** 0.5


def orthogonal_directions(u, recipe):
    """Of a matrix with no more rows than columns: about the U V^T of its singular value decomposition."""
    if recipe == "BADM_NS_FIVE":
        x = u / (np.linalg.norm(u) + TINY)
        for _ in range(5):
            a = x @ x.T
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
        return x
    gram = u @ u.T
    scale = 1.01 * np.linalg.norm(gram) + TINY
    A, Y, one = gram / scale, np.eye(len(gram)), np.eye(len(gram))
    for a, b, c in GRAM:
        P = a * one + b * A + c * A @ A
        Y = P @ Y
        A = P @ A @ P
    return Y @ u / np.sqrt(scale)


# ---- BADM ----

def norm(tensors):
    return np.sqrt(sum(np.sum(t * t) for t in tensors.values()))


def metric_of(c, name, shape):
    """The metric of one tensor: its group's, else the trainer's. The orthogonal one is for matrices, else diagonal."""
    metric = c["metric"]
    for prefix, of_group in c["group_metric"]:
        if name.startswith(prefix):
            metric = of_group
    if metric == "BADM_ORTHOGONAL" and len(shape) != 2:
        metric = "BADM_DIAGONAL"
    return metric


REST = 0.05


def rest_of(c, name, shape):
    """Where matrices are orthogonalised, what else there is moves by this part of the step, unless its group has a metric."""
    orthogonalises = c["method"] == "MUON" or c["metric"] == "BADM_ORTHOGONAL"
    grouped = any(name.startswith(prefix) for prefix, _ in c["group_metric"])
    return REST if orthogonalises and len(shape) != 2 and not grouped else 1.0


def factor_of(pairs, name):
    factor = 1.0
    for prefix, value in pairs:
        if name.startswith(prefix):
            factor = value
    return factor


def badm(c):
    loss_and_gradient, start, samples = PROBLEMS[c["problem"]]
    S, K = c["S"], c["K"]
    names = list(start)
    metric = {k: metric_of(c, k, start[k].shape) for k in names}
    w = {k: start[k].copy() for k in names}
    w_s = [{k: start[k].copy() for k in names} for _ in range(S)]
    pi = [{k: np.zeros_like(start[k]) for k in names} for _ in range(S)]
    v = {k: np.zeros_like(start[k]) for k in names}                         # diagonal metric
    v_s = [{k: np.zeros_like(start[k]) for k in names} for _ in range(S)]   # SISA
    reports = []
    batch = 0
    for step in range(STEPS):
        sigma_all, rho_all = sigma_rho(c, step)
        count = c["short"] if c["short"] and step % 3 == 2 else c["count"]
        sizes = slot_sizes(count, S)
        alpha = np.array(sizes) / count
        edge = np.concatenate(([0], np.cumsum(sizes)))
        batches = [batch_index(samples, count, batch + k) for k in range(K)]
        batch += K

        # the gradients of the first batch, all at w
        first = [loss_and_gradient(w, batches[0][edge[s]:edge[s + 1]]) for s in range(S)]
        loss = sum(alpha[s] * first[s][0] for s in range(S))
        mean = {k: sum(alpha[s] * first[s][1][k] for s in range(S)) for k in names}
        grad_norm = norm(mean)
        clip = min(1.0, c["clip"] / grad_norm) if c["clip"] else 1.0

        primal2 = dual2 = moved2 = 0.0
        t = step + 1
        Q = {}
        for k in names:
            Q[k] = np.ones_like(w[k])
            if metric[k] == "BADM_DIAGONAL":
                if c["of_slots"]:
                    square = sum(alpha[s] * (clip * first[s][1][k]) ** 2 for s in range(S))
                else:
                    square = (clip * mean[k]) ** 2
                v[k] = c["beta2"] * v[k] + (1 - c["beta2"]) * square
                Q[k] = np.sqrt(v[k] / (1 - c["beta2"] ** t)) + c["eps"]

        scale = {k: factor_of(c["step_scale"], k) * rest_of(c, k, start[k].shape) for k in names}
        sigma = {k: sigma_all / scale[k] for k in names}
        rho = {k: rho_all / scale[k] for k in names}
        pull = {k: sigma[k] / K for k in names}     # s_: what sigma is within a step of K local ones

        # primal: every slot on its own
        for s in range(S):
            w_s[s] = {k: w[k].copy() for k in names}
            for j in range(K):
                if j == 0:
                    g = {k: clip * first[s][1][k] for k in names}
                else:
                    g = loss_and_gradient(w_s[s], batches[j][edge[s]:edge[s + 1]])[1]
                    if c["clip"]:
                        own = min(1.0, c["clip"] / norm(g))
                        g = {k: own * g[k] for k in names}
                for k in names:
                    u = g[k] + pi[s][k]
                    if metric[k] == "BADM_SISA":
                        v_s[s][k] = c["beta2"] * v_s[s][k] + (1 - c["beta2"]) * u * u
                        second = np.sqrt(v_s[s][k] / (1 - c["beta2"] ** t)) + c["eps"]
                        w_s[s][k] = w[k] - u / (sigma[k] + rho[k] * second)
                    else:       # with Q = I for an orthogonal tensor: its slots stay in gradient units
                        w_s[s][k] = w_s[s][k] - (u / Q[k] + pull[k] * (w_s[s][k] - w[k])) / (rho[k] + pull[k])
        # dual
        for s in range(S):
            for k in names:
                pi[s][k] = pi[s][k] + pull[k] * Q[k] * (w_s[s][k] - w[k])
        # aggregate
        new = {}
        for k in names:
            kept = 1 - c["decay"] * factor_of(c["group_decay"], k) / sigma[k]
            moved = sum(alpha[s] * (w_s[s][k] - w[k] + pi[s][k] / (pull[k] * Q[k])) for s in range(S))
            if metric[k] == "BADM_ORTHOGONAL":
                new[k] = kept * w[k] + orthogonalise(moved, c["recipe"]) / sigma[k]
            elif kept == 1:
                new[k] = sum(alpha[s] * (w_s[s][k] + pi[s][k] / (pull[k] * Q[k])) for s in range(S))
            else:
                new[k] = kept * w[k] + moved
            if c["ridge"]:
                new[k] = sigma[k] / (sigma[k] + c["ridge"]) * new[k]
            primal2 += sum(alpha[s] * np.sum(Q[k] * (w_s[s][k] - w[k]) ** 2) for s in range(S))
            dual2 += sigma[k] ** 2 * np.sum(Q[k] * (new[k] - w[k]) ** 2)
            moved2 += np.sum((new[k] - w[k]) ** 2)
        w = new
        reports.append((loss, grad_norm, np.sqrt(primal2), np.sqrt(dual2), np.sqrt(moved2)))
    return w, reports


# ---- Muon ----

def muon(c):
    loss_and_gradient, start, samples = PROBLEMS[c["problem"]]
    names = list(start)
    w = {k: start[k].copy() for k in names}
    m = {k: np.zeros_like(start[k]) for k in names}
    v = {k: np.zeros_like(start[k]) for k in names}
    reports = []
    for step in range(STEPS):
        loss, g = loss_and_gradient(w, batch_index(samples, c["count"], step))
        rate, beta1, beta2, t = c["lr"] * schedule_factor(c, step), c["beta1"], c["beta2"], step + 1
        old = w
        w = {}
        for k in names:
            lr = rate * rest_of(c, k, start[k].shape)
            m[k] = beta1 * m[k] + (1 - beta1) * g[k]
            shrunk = old[k] * (1 - lr * c["decay"])
            if g[k].ndim == 2:
                w[k] = shrunk - lr * orthogonalise((1 - beta1) * g[k] + beta1 * m[k], c["recipe"])
            else:
                v[k] = beta2 * v[k] + (1 - beta2) * g[k] * g[k]
                w[k] = shrunk - lr * (m[k] / (1 - beta1 ** t)) / (np.sqrt(v[k] / (1 - beta2 ** t)) + c["eps"])
        reports.append((loss, norm(g), 0.0, 0.0, norm({k: w[k] - old[k] for k in names})))
    return w, reports


# ---- the cases ----

DEFAULTS = dict(problem="NETWORK", method="BADM", forms="BOTH", metric="BADM_PLAIN", count=24, short=0, S=4, K=1,
                sigma=1.0, rho=4.0, varying=0,
                schedule="BADM_CONSTANT_RATE", warmup=0, total=0, last=0.0, every=0, gamma=0.0,
                ridge=0.0, decay=0.0, clip=0.0,
                beta2=0.999, eps=1e-8, of_slots=0, recipe="BADM_NS_GRAM3", lr=0.0, beta1=0.9,
                step_scale=(), group_decay=(), group_metric=())
DIAGONAL = dict(metric="BADM_DIAGONAL", sigma=40.0, rho=200.0)
ORTHOGONAL = dict(problem="SIGMOIDS", metric="BADM_ORTHOGONAL", sigma=20.0, rho=60.0)
SISA = dict(metric="BADM_SISA", forms="SLOTS", sigma=1.0, rho=20.0, beta2=0.99)
LINE = dict(problem="LEAST_SQUARES", sigma=2.0, rho=8.0)
UNEVEN = dict(count=22, varying=1)
MUON = dict(problem="SIGMOIDS", method="MUON", forms="COLLAPSED", lr=0.02, beta1=0.95)

CASES = [
    ("plain", {}),
    ("plain, one slot", dict(S=1)),
    ("plain, uneven, rates vary", UNEVEN),
    ("plain, one sample a slot", dict(count=5, S=5)),
    ("plain, short batches", dict(count=22, short=9, forms="SLOTS")),
    ("plain, linear decay", dict(schedule="BADM_LINEAR_DECAY", warmup=4, total=18, last=0.1)),
    ("plain, linear decay to nothing", dict(schedule="BADM_LINEAR_DECAY", total=20, last=0.0)),
    ("plain, cosine decay", dict(schedule="BADM_COSINE_DECAY", warmup=3, total=20, last=0.05)),
    ("plain, step decay", dict(schedule="BADM_STEP_DECAY", every=6, gamma=0.5)),
    ("plain, step decay after warm-up", dict(schedule="BADM_STEP_DECAY", warmup=4, every=7, gamma=0.5)),
    ("plain, constant after warm-up", dict(warmup=8)),
    ("plain, ridge", dict(ridge=0.05)),
    ("plain, ridge, uneven, rates vary", dict(ridge=0.05, **UNEVEN)),
    ("plain, decay", dict(decay=0.03)),
    ("plain, decay, ridge, uneven, rates vary", dict(decay=0.03, ridge=0.02, **UNEVEN)),
    ("plain, clip", dict(clip=0.25)),
    ("plain, clip, uneven, rates vary", dict(clip=0.07, **UNEVEN)),
    ("plain, groups", dict(decay=0.03, step_scale=(("fc1", 0.5), ("fc2.bias", 2.0)),
                           group_decay=(("fc2", 0.5), ("fc1.bias", 0.0)))),
    ("plain, groups, ridge, rates vary", dict(ridge=0.05, step_scale=(("fc1", 0.5),), **UNEVEN)),
    ("diagonal", DIAGONAL),
    ("diagonal, uneven, rates vary", dict(DIAGONAL, beta2=0.9, eps=1e-3, **UNEVEN)),
    ("diagonal, second moment of slots", dict(DIAGONAL, of_slots=1, beta2=0.95, **UNEVEN)),
    ("diagonal, second moment of slots, clip", dict(DIAGONAL, of_slots=1, clip=0.2)),
    ("diagonal, decay", dict(DIAGONAL, decay=1.0)),
    ("diagonal, clip", dict(DIAGONAL, clip=0.2, eps=1e-2)),
    ("diagonal, cosine decay", dict(DIAGONAL, schedule="BADM_COSINE_DECAY", warmup=3, total=20, last=0.05)),
    ("diagonal, groups", dict(DIAGONAL, decay=0.5, step_scale=(("fc1", 0.5),), group_decay=(("fc2", 2.0),))),
    ("diagonal, short batches", dict(DIAGONAL, count=22, short=9, forms="SLOTS")),
    ("SISA", SISA),
    ("SISA, uneven, rates vary", dict(SISA, **UNEVEN)),
    ("SISA, ridge", dict(SISA, ridge=0.05)),
    ("SISA, decay, clip", dict(SISA, decay=0.02, clip=0.2, eps=1e-3)),
    ("orthogonal", ORTHOGONAL),
    ("orthogonal, uneven, rates vary, decay", dict(ORTHOGONAL, decay=0.5, **UNEVEN)),
    ("orthogonal, five steps", dict(ORTHOGONAL, recipe="BADM_NS_FIVE")),
    ("orthogonal, five steps, clip, groups", dict(ORTHOGONAL, recipe="BADM_NS_FIVE", clip=0.2,
                                                  step_scale=(("fc1", 0.5),))),
    ("orthogonal beside plain and diagonal", dict(
        DIAGONAL, problem="SIGMOIDS", group_metric=(("fc1.weight", "BADM_ORTHOGONAL"), ("fc2.bias", "BADM_PLAIN")))),
    ("local steps 2, plain", dict(K=2, forms="SLOTS")),
    ("local steps 4, plain, uneven, rates vary", dict(K=4, forms="SLOTS", **UNEVEN)),
    ("local steps 4, plain, clip", dict(K=4, forms="SLOTS", clip=0.2)),
    ("local steps 2, plain, short batches", dict(K=2, forms="SLOTS", count=22, short=9)),
    ("local steps 4, plain, decay, ridge", dict(K=4, forms="SLOTS", decay=0.03, ridge=0.05)),
    ("local steps 2, diagonal", dict(DIAGONAL, K=2, forms="SLOTS")),
    ("local steps 4, diagonal, uneven, rates vary", dict(DIAGONAL, K=4, forms="SLOTS", beta2=0.9, **UNEVEN)),
    ("local steps 4, diagonal, clip, decay", dict(DIAGONAL, K=4, forms="SLOTS", clip=0.2, decay=0.5)),
    ("local steps 2, second moment of slots", dict(DIAGONAL, K=2, forms="SLOTS", of_slots=1)),
    ("least squares, plain", dict(LINE, count=23)),
    ("least squares, plain, short batches", dict(LINE, count=18, short=5, forms="SLOTS")),
    ("least squares, ridge, rates vary", dict(LINE, count=21, ridge=0.3, varying=1)),
    ("least squares, diagonal", dict(DIAGONAL, problem="LEAST_SQUARES", count=21)),
    ("least squares, SISA", dict(SISA, problem="LEAST_SQUARES", count=23)),
    ("least squares, local steps 4", dict(LINE, count=21, K=4, forms="SLOTS")),
    ("logistic, plain, uneven, rates vary", dict(problem="LOGISTIC", sigma=0.5, rho=2.0, **UNEVEN)),
    ("logistic, diagonal", dict(DIAGONAL, problem="LOGISTIC", count=23)),
    ("logistic, SISA", dict(SISA, problem="LOGISTIC", count=23)),
    ("logistic, orthogonal", dict(metric="BADM_ORTHOGONAL", sigma=20.0, rho=60.0, problem="LOGISTIC", count=23)),
    ("logistic, local steps 2", dict(problem="LOGISTIC", count=23, K=2, sigma=0.5, rho=2.0, forms="SLOTS")),
    ("Muon", MUON),
    ("Muon, decay", dict(MUON, decay=0.5, beta1=0.9, beta2=0.95, eps=1e-3)),
    ("Muon, five steps", dict(MUON, recipe="BADM_NS_FIVE", decay=0.1)),
    ("Muon, cosine decay", dict(MUON, schedule="BADM_COSINE_DECAY", warmup=3, total=20, last=0.05)),
]


# ---- the C header ----

def number(x):
    text = "%.9g" % x
    if not any(c in text for c in ".en"):
        text += ".0"
    return text + "f"


def rows(values, per_line=7, indent="        "):
    text = [number(x) for x in values]
    return (",\n" + indent).join(", ".join(text[i:i + per_line]) for i in range(0, len(text), per_line))


def pairs(c, what, width=2):
    """(prefix, number) pairs, padded with NULL."""
    given = list(c[what]) + [(None, 0.0)] * (width - len(c[what]))
    text = ("{ %s, %s }" % ('"%s"' % p if p else "NULL", x if isinstance(x, str) else number(x)) for p, x in given)
    return "{ " + ", ".join(text) + " }"


def flat(w):
    return np.concatenate([t.ravel() for t in w.values()])


def emit(out):
    say = lambda text="": print(text, file=out)
    say("/* Written by badm_reference.py: BADM and Muon in NumPy, float64. Do not edit. Include after badm.h. */")
    say("#ifndef BADM_GOLDEN_H")
    say("#define BADM_GOLDEN_H")
    say()
    say("#define GOLDEN_STEPS %d" % STEPS)
    say("#define GOLDEN_REPORTS %d" % len(REPORTED))
    say("#define GOLDEN_SIZE %d            /* numbers in the network */" % flat(net_start).size)
    say()
    say("static const int golden_reported[GOLDEN_REPORTS] = { %s };" % ", ".join(map(str, REPORTED)))
    say()
    for name, values in (("net_x", net_x), ("line_x", line_x), ("line_y", line_y), ("line_class", line_class),
                         ("net_onehot", np.eye(3)[net_labels]),
                         ("net_start", flat(net_start)), ("line_start", flat(line_start))):
        say("static const float golden_%s[%d] = {\n    %s\n};" % (name, np.size(values), rows(np.ravel(values), indent="    ")))
    say("static const int32_t golden_net_labels[%d] = { %s };" % (len(net_labels), ", ".join(map(str, net_labels))))
    say()
    say("typedef struct { const char *prefix; float factor; } golden_factor;")
    say("typedef struct { const char *prefix; badm_metric metric; } golden_metric;")
    say("enum { NETWORK, SIGMOIDS, LEAST_SQUARES, LOGISTIC };")
    say("enum { MUON, SLOTS, COLLAPSED, BOTH };     /* which forms the numbers hold for */")
    say("""
typedef struct {
    const char *name;
    int problem, forms;
    badm_metric metric;
    uint32_t count, short_count, slots, local_steps;        /* short_count: of every third batch, 0: none */
    float sigma, rho;
    int varying;                                            /* the rates callback changes them every step */
    badm_schedule schedule;
    float ridge, decay, clip, beta2, eps;
    int of_slots;
    badm_newton_schulz recipe;
    float lr, beta1;
    golden_factor step_scale[2], group_decay[2];
    golden_metric group_metric[2];
    float reports[GOLDEN_REPORTS][5];                       /* loss, gradient norm, primal, dual residual, step norm */
    float w[GOLDEN_SIZE];                                   /* after the last step */
} golden_case;
""")
    say("static const golden_case golden_cases[] = {")
    for title, change in CASES:
        c = dict(DEFAULTS, **change)
        w, reports = (muon if c["method"] == "MUON" else badm)(c)
        w = flat(w)
        assert np.all(np.isfinite(w)), title
        forms = "MUON" if c["method"] == "MUON" else c["forms"]
        say('    { "%s", %s, %s, %s,' % (title, c["problem"], forms, c["metric"]))
        say("      %d, %d, %d, %d, %s, %s, %d," % (c["count"], c["short"], c["S"], c["K"], number(c["sigma"]),
                                                   number(c["rho"]), c["varying"]))
        say("      { %s, %d, %d, %s, %d, %s }," % (
            c["schedule"], c["warmup"], c["total"], number(c["last"]), c["every"], number(c["gamma"])))
        say("      %s, %s, %s, %s, %s, %d, %s, %s, %s," % (
            number(c["ridge"]), number(c["decay"]), number(c["clip"]), number(c["beta2"]), number(c["eps"]),
            c["of_slots"], c["recipe"], number(c["lr"]), number(c["beta1"])))
        metrics = list(c["group_metric"]) + [(None, "BADM_PLAIN")] * (2 - len(c["group_metric"]))
        say("      %s, %s," % (pairs(c, "step_scale"), pairs(c, "group_decay")))
        say("      %s," % pairs(dict(group_metric=metrics), "group_metric"))
        say("      { " + ",\n        ".join("{ %s }" % rows(reports[r], 5) for r in REPORTED) + " },")
        say("      { %s } }," % rows(w))
        losses = [r[0] for r in reports]
        print("%-45s loss %.4f -> %.4f" % (title, losses[0], losses[-1]), file=sys.stderr)
    say("};")
    say()
    say("#endif")


if __name__ == "__main__":
    emit(sys.stdout)
