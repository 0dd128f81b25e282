"""BADM's neighbours measured: pdADMM, batches that grow, aggregation by presence.

    /usr/bin/python3 bench/methods.py OUT DATA [GROUP...]       from the project's folder; GROUP is one of those at the end; none: all
                                                                but the experiments

bench/pdadmm.c, growth.c and sparse.c do the work; peers are bench/numpy_pdadmm.py and pytorch_sparse.py, with as many threads as suit them
best, and Hogwild! in sparse.c. Prints

    RATIO name value        the peer's time / ours
    RESULT name value       anything else

and leaves CSV files of the curves in OUT.
"""
import os
import statistics
import subprocess
import sys
import time
from functools import partial

import numpy as np

import speed
import pytorch_sparse

HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS = 7
LAYERS, WIDTH, SAMPLES = 10, 512, 10000         # pdADMM's speed


class Methods(speed.Bench):
    def __init__(self, out, data):
        self.out, self.data = out, data
        os.makedirs(out, exist_ok=True)
        self.core = None
        self.csv = open(os.path.join(out, "methods.csv"), "w", encoding="ascii")
        self.csv.write("name,ours,peer,ratio,unit,low,high,repetitions\n")
        self.programs = {}

    def program(self, name):
        if name not in self.programs:
            self.programs[name] = self.compile(name, ["-lpthread", "-lm"], "c11")      # sparse.c wants it
        if not self.programs[name]:
            raise speed.Failed("bench/%s.c does not compile" % name)
        return self.programs[name]

    def say(self, name, *words, of=""):
        """Runs a program, shows what it says, and returns its lines of words. of: goes behind the names of its figures."""
        lines = []
        with subprocess.Popen([self.program(name), *words], stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                lines.append(line.split())
                if of and lines[-1][0] in ("RATIO", "RESULT"):
                    line = "%s %s_%s %s\n" % (lines[-1][0], lines[-1][1], of, lines[-1][2])
                print(line, end="", flush=True)
        if process.returncode:
            raise speed.Failed("%s %s: it ended with %d" % (name, " ".join(words), process.returncode))
        return lines

    def libsvm(self, name):
        for path in (name, name + ".gz"):
            for folder in ("libsvm", "."):
                found = os.path.join(self.data, folder, path)
                if os.path.exists(found):
                    return found
        raise speed.Failed("DATA=%s lacks libsvm/%s" % (self.data, name))

    def images(self, name):
        found = os.path.join(self.data, name)
        if not os.path.isdir(found):
            raise speed.Failed("DATA=%s lacks %s" % (self.data, name))
        return found


def result(name, value):
    print("RESULT %s %.6g" % (name, value), flush=True)


def turns(*starts):
    """Each of starts begins a process; returns the processes after ROUNDS repetitions and one before them to warm up."""
    processes = []

    def use(started):
        for process in started:
            del process.seconds[0]
        processes.extend(started)

    speed.with_processes(lambda run: run.extend(start() for start in starts), use, ROUNDS + 1)
    return processes


def pdadmm(b):
    folder = os.path.join(b.out, "pdadmm_problem")
    os.makedirs(folder, exist_ok=True)
    draw = np.random.default_rng(1)
    np.save(os.path.join(folder, "x.npy"), draw.random((SAMPLES, WIDTH), dtype=np.float32))
    for layer in range(LAYERS):
        shape = (WIDTH if layer + 1 < LAYERS else 10, WIDTH)
        np.save(os.path.join(folder, "w%d.npy" % (layer + 1)), (draw.standard_normal(shape) * (2 / WIDTH) ** 0.5).astype(np.float32))
    ours = [partial(speed.Process, [b.program("pdadmm"), "serve", folder, str(workers)]) for workers in (2, 1)]
    peers = [partial(speed.Process, [sys.executable, os.path.join(HERE, "numpy_pdadmm.py"), folder], threads=n, blas=n) for n in (1, 2)]
    *ours, first, second = turns(*ours, *peers)
    peers = [first, second]
    best = min(peers, key=lambda p: p.median)
    print("NumPy: %s s an iteration with 1 and 2 threads" % " and ".join("%.3f" % p.median for p in peers))
    b.compare("pdadmm_numpy", ours[0], best)
    b.compare("pdadmm_workers_2", ours[0], ours[1])
    b.say("pdadmm", "model", folder)


def pdadmm_mnist(b):
    b.say("pdadmm", "accuracy", b.images("mnist"), b.out, "5", "0", "200", "24000", "1000")


def pdadmm_networks(b):
    """An experiment: deeper ones, where plain SGD stalls, and Fashion-MNIST."""
    for name, layers, grow in (("mnist", 5, 5), ("fashion-mnist", 5, 0), ("fashion-mnist", 5, 5), ("mnist", 5, 15)):
        b.say("pdadmm", "accuracy", b.images(name), b.out, str(layers), str(grow), "100", "12000", "200")


def growth(b):
    for net in ("mlp", "cnn"):
        ways = turns(*(partial(speed.Process, [b.program("growth"), "serve", net, how, "2"]) for how in ("exact", "slots", "plain")))
        for how, way in zip(("", "_of_slots"), ways):
            result("divebatch_step_%s%s" % (net, how), statistics.median(x / y for x, y in zip(way.seconds, ways[2].seconds)))
    growth_logistic(b)


def pdadmm_curve(b):
    """An experiment: the Lagrangian and the changes where rho is large enough for the theory; examples/pdadmm.c writes pdadmm.csv."""
    program = b.compile("../examples/pdadmm", ["-lpthread"])
    subprocess.run([program, "--width", "100", "--iterations", "300", "--rho", "0.004", "--out", b.out, b.images("mnist")], check=True)


def growth_logistic(b):
    """An experiment, also a part of growth."""
    b.say("growth", "compare", "logistic", b.data, b.out)


def growth_cnn(b):
    """An experiment."""
    b.say("growth", "compare", "cnn", b.images("mnist"), b.out)


def sparse(b):
    """Of two data sets; the figures without their names are the worse of both."""
    found = {}
    for name in ("a9a", "rcv1_small.svm"):
        short = name.split("_")[0]
        for line in b.say("sparse", "samples", b.libsvm(name), of=short):
            if line[0] == "RESULT":
                found[short, line[1]] = float(line[2])
    for rule, called in (("presence", "adabatch"), ("frequency", "adabatch_by_frequency"), ("mean", "mean")):
        for batch in ("16", "256"):
            both = [found[short, "%s_samples_%s" % (rule, batch)] for short in ("a9a", "rcv1")]
            result("%s_samples_%s" % (called, batch), max(both))
    hogwild = {}
    for name in ("a9a", "rcv1_small.svm"):
        for line in b.say("sparse", "hogwild", b.libsvm(name), of=name.split("_")[0]):
            if line[0] in ("RATIO", "RESULT"):
                hogwild.setdefault(line[1], []).append(float(line[2]))
    print("RATIO sync_over_hogwild_time %.4f" % min(hogwild["sync_over_hogwild_time"]))
    result("hogwild_1_over_plain_sgd", min(hogwild["hogwild_1_over_plain_sgd"]))


def optimum(path, l2):
    """The least F on a LIBSVM file with few features, by Newton's method in double precision; b is not in l2's square."""
    labels, start, column, value = pytorch_sparse.read(path)
    x = np.zeros((len(labels), column.max() + 2))
    x[np.repeat(np.arange(len(labels)), np.diff(start)), column] = value
    x[:, -1] = 1
    sign, w = 2.0 * labels - 1, np.zeros(x.shape[1])
    ridge = np.full(len(w), l2)
    ridge[-1] = 0
    for _ in range(50):
        margin = sign * (x @ w)
        p = 1 / (1 + np.exp(margin))
        gradient = -(x.T @ (sign * p)) / len(sign) + ridge * w
        hessian = (x.T * (p * (1 - p))) @ x / len(sign) + np.diag(ridge)
        step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        w -= step
        if np.abs(step).max() < 1e-13:
            break
    print("optimum: |gradient| %.2g" % np.linalg.norm(gradient))
    return np.logaddexp(0, -sign * (x @ w)).mean() + 0.5 * (ridge * w * w).sum()


def svrg(b):
    least = optimum(b.libsvm("a9a"), 1e-4)
    gaps = [(int(line[1]), float(line[2]) - least) for line in b.say("sparse", "svrg", b.libsvm("a9a")) if line[0] == "svrg"]
    with open(os.path.join(b.out, "svrg.csv"), "w", encoding="ascii") as f:
        f.write("epoch,gap\n" + "".join("%d,%.9g\n" % pair for pair in gaps))
    there = next((epoch for epoch, gap in gaps if gap <= 1e-6 * least), None)
    print("F* %.12g; within a millionth of it after epoch %s" % (least, there))
    above = [(e, np.log(g)) for e, g in gaps if g > 3e-6 * least]
    if len(above) > 2:
        slope = np.polyfit([e for e, _ in above], [g for _, g in above], 1)[0]
        print("until 3e-6: the gap shrinks by a factor of %.3f an epoch" % np.exp(slope))
    result("svrg_gap", min(gap for _, gap in gaps) / least)


def sparse_pytorch(b):
    path = b.libsvm("a9a")
    peers = [partial(speed.Process, [sys.executable, os.path.join(HERE, "pytorch_sparse.py"), path, "256", str(n)], threads=n, blas=n)
             for n in (1, 2)]
    ours, *peers = turns(partial(speed.Process, [b.program("sparse"), "serve", path, "256", "2"]), *peers)
    b.compare("sparse_pytorch", ours, min(peers, key=lambda p: p.median))


GROUPS = {"pdadmm": pdadmm, "pdadmm_mnist": pdadmm_mnist, "growth": growth, "sparse": sparse, "svrg": svrg, "sparse_pytorch": sparse_pytorch}
EXPERIMENTS = {"pdadmm_networks": pdadmm_networks, "pdadmm_curve": pdadmm_curve, "growth_logistic": growth_logistic, "growth_cnn": growth_cnn}


def main():
    known = dict(GROUPS, **EXPERIMENTS)
    wanted = sys.argv[3:] or list(GROUPS)
    unknown = [name for name in wanted if name not in known]
    if len(sys.argv) < 3 or unknown:
        print("usage: /usr/bin/python3 bench/methods.py OUT DATA [%s]" % "|".join(known), file=sys.stderr)
        return 2
    failed = 0
    b = Methods(sys.argv[1], sys.argv[2])
    for name in wanted:
        print("== " + name, flush=True)
        disturbance = speed.Disturbance()
        began = time.monotonic()
        try:
            known[name](b)
            disturbance.tell()
        except (speed.Failed, OSError, ValueError) as error:
            print("FAILED: %s: %s" % (name, error), flush=True)
            failed = 1
        print("%s: %.0f s" % (name, time.monotonic() - began), flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
