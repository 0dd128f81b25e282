"""Whole tasks against PyTorch on the same machine: language, images, image generation, graphs.

    /usr/bin/python3 bench/tasks.py OUT DATA [GROUP...]         from the project's folder; GROUP is one of those at the end; none: all

bench/tasks.c and bench/pytorch_tasks.py do the same work: networks, data, batches, schedules. Each training is a process that trains
piece by piece on request, so that the two sides take turns every few seconds and see the same noise. Seconds are those of
training alone. Targets are losses on held-out training data; test sets are looked at once, at the end. Step sizes that are
compared were chosen on held-out data (the peer's here, from the grids below; ours before, see RESULTS.md). Prints

    RATIO name value        the peer's time / ours
    RESULT name value       anything else

and writes OUT/tasks.csv (name, ours, peer, ratio, unit, low, high, repetitions) and OUT/curves_*.csv (every evaluation).
"""
import os
import statistics
import subprocess
import sys
import time

import speed

HERE = os.path.dirname(os.path.abspath(__file__))
SEEDS = (1, 2, 3)
REPETITIONS = 9
WAYS = [(threads, blas) for threads in (1, 2) for blas in (1, 2)]      # PyTorch's threads and OpenBLAS's

# What each task is trained with. Of ours, `step` is 1/sigma and `beta` rho/(rho+sigma).
LM = dict(batch=12, clip=1.0)
LM_PEER = dict(LM, method="adamw", beta=0.9, beta2=0.99, decay=0.1, schedule="cosine", warmup=100, steps=800, last=0.1)
LM_PEER_STEPS = (1e-3, 3e-3, 6e-3)
LM_OURS = dict(LM, metric="orthogonal", step=0.03, beta=0.9, beta2=0.99, schedule="linear", warmup=20, steps=320, slots=2)
LM_MUON = dict(LM, method="muon", step=0.03, beta=0.95, beta2=0.99, schedule="linear", warmup=20, steps=360, slots=2)
VAE = dict(batch=128)
VAE_EPOCHS = 16
VAE_PEER_STEPS = (1e-3, 2e-3, 4e-3, 8e-3, 16e-3)
VAE_OURS = dict(VAE, metric="mixed", step=8e-3, beta=0.9, beta2=0.99, schedule="linear", slots=2, epochs=5)
CNN = dict(batch=64)
CNN_PEER_STEPS = (2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3)
CNN_OURS = dict(CNN, metric="diagonal", step=4e-3, beta=0.9, schedule="linear", slots=2)
CNN_99_OURS = dict(CNN_OURS, step=6e-3, beta2=0.99, steps=1300, every=50)
CNN_EPOCHS = 5


class Learner(speed.Process):
    """One training: tasks or pytorch_tasks.py. `curve` holds (steps, seconds, training loss, loss, accuracy)."""

    def __init__(self, command, settings, cores=None, threads=1, blas=1):
        words = ["%s=%s" % item for item in settings.items()]
        super().__init__(command + words, cores, threads, blas)
        self.every, self.curve, self.settings = settings["every"], [(0, 0.0, 0, 0, 0)], settings

    def ask(self, what):
        self.process.stdin.write((what + "\n").encode())
        self.process.stdin.flush()
        return [float(word) for word in self.line().split()]

    def go(self):
        seconds, loss, held_out, accuracy = self.ask("go")
        if not loss == loss or abs(loss) > 1e30:
            raise speed.Failed(self.command + ": its loss is %g" % loss)
        self.seconds.append(seconds / self.every)
        steps, before = self.curve[-1][:2]
        self.curve.append((steps + self.every, before + seconds, loss, held_out, accuracy))

    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        if self.process.wait():
            raise speed.Failed(self.command + ": it ended with %d" % self.process.returncode)

    def reached(self, target, column=3):
        """(steps, seconds) at the first evaluation with a loss (column 3) at most or an accuracy (4) at least the target; None."""
        for point in self.curve[1:]:
            if point[3] <= target if column == 3 else point[4] >= target:
                return point[:2]
        return None


class Tasks(speed.Bench):
    def __init__(self, out, data, with_torch=True):
        self.out, self.source, self.data = out, data, os.path.join(out, "data")
        os.makedirs(out, exist_ok=True)
        self.core = {max(os.sched_getaffinity(0))}
        self.program = self.compile("tasks", ["-lpthread", "-lm"])
        if not self.program:
            raise speed.Failed("bench/tasks.c does not compile")
        if with_torch and not self.find_torch():
            raise speed.Failed("nothing to compare with (Debian: python3-torch)")
        if subprocess.run([sys.executable, os.path.join(HERE, "tasks_data.py"), data, self.data], check=False).returncode:
            raise speed.Failed("DATA=%s lacks data sets" % data)
        self.csv = open(os.path.join(out, "tasks.csv"), "w", encoding="ascii")
        self.csv.write("name,ours,peer,ratio,unit,low,high,repetitions\n")
        self.best_way = {}

    def mine(self, net, cores=None, **settings):
        return Learner([self.program, net, self.data], settings, cores)

    def peer(self, net, way=(1, 1), cores=None, **settings):
        threads, blas = way
        return Learner([sys.executable, os.path.join(HERE, "pytorch_tasks.py"), net, self.data], dict(settings, workers=threads),
                       cores, threads, blas)

    def curves(self, name, learners):
        with open(os.path.join(self.out, "curves_%s.csv" % name), "w", encoding="ascii") as f:
            f.write("who,step_size,seed,steps,seconds,train_loss,loss,accuracy\n")
            for who, learner in learners:
                for point in learner.curve[1:]:
                    f.write("%s,%s,%s,%d,%.4f,%.6g,%.6g,%.6g\n" % (who, learner.settings.get("step"), learner.settings.get("seed"), *point))

    def record(self, name, ratios, ours, peers, unit):
        """A ratio that is the median over pairs."""
        ratio = statistics.median(ratios)
        self.csv.write("%s,%.6g,%.6g,%.4f,%s,%.4f,%.4f,%d\n" % (name, statistics.median(ours), statistics.median(peers), ratio, unit,
                                                              min(ratios), max(ratios), len(ratios)))
        self.csv.flush()
        print("%s: %.4g and %.4g %s, pairs %.3f to %.3f" % (name, statistics.median(ours), statistics.median(peers), unit,
                                                         min(ratios), max(ratios)))
        print("RATIO %s %.4f" % (name, ratio), flush=True)


def result(name, value):
    print("RESULT %s %.6g" % (name, value), flush=True)


def take_turns(learners, rounds):
    """rounds[i]: how many pieces learner i trains; all end together as nearly as may be."""
    most = max(rounds)
    done = [0] * len(learners)
    for i in range(most):
        order = list(range(len(learners)))
        for j in order[::-1] if i % 2 else order:
            while done[j] * most < (i + 1) * rounds[j]:
                learners[j].go()
                time.sleep(learners[j].pause)
                done[j] += 1


def together(learners, rounds, use=None):
    """Trains them in turns and ends them, whatever happens."""
    try:
        take_turns(learners, rounds)
        found = use() if use else None
        for learner in learners:
            learner.end()
        return found
    finally:
        for learner in learners:
            if learner.process.poll() is None:
                learner.process.kill()
                learner.process.wait()


def step_times(b, net, every, method, ours_extra, **common):
    """NET_1w, NET_2w with the same optimiser on both sides; NET_*_badm: our step with BADM against the same peer."""
    common = dict(common, evaluate=0, every=every, step=1e-3)
    ours = [b.mine(net, b.core, method=method, **common), b.mine(net, b.core, **dict(common, **ours_extra))]
    peers = [b.peer(net, cores=b.core, method=method, **common)]
    together(ours + peers, [REPETITIONS + 1] * 3)
    for learner in ours + peers:
        del learner.seconds[0]
    b.compare(net + "_1w", ours[0], peers[0])
    b.compare(net + "_1w_badm", ours[1], peers[0])
    ours = [b.mine(net, slots=2, workers=2, method=method, **common), b.mine(net, slots=2, workers=2, **dict(common, **ours_extra)),
            b.mine(net, slots=2, workers=1, method=method, **common)]
    peers = [b.peer(net, way, method=method, **common) for way in WAYS]
    together(ours + peers, [REPETITIONS + 1] * 7)
    for learner in ours + peers:
        del learner.seconds[0]
    for (threads, blas), p in zip(WAYS, peers):
        print(b.row("%s_2w_torch%d_blas%d" % (net, threads, blas), ours[0], p)[0])
    best = min(peers, key=lambda p: p.median)
    b.best_way[net] = WAYS[peers.index(best)]
    b.compare(net + "_2w", ours[0], best)
    b.compare(net + "_2w_badm", ours[1], best)
    b.compare("workers_2_" + net, ours[0], ours[2])


def way_of(b, net, **settings):
    """PyTorch's best threads for a network, from a short trial where the step times were not measured."""
    if net not in b.best_way:
        trial = [b.peer(net, way, **dict(settings, evaluate=0, every=20)) for way in WAYS]
        together(trial, [4] * len(trial))
        b.best_way[net] = WAYS[min(range(len(trial)), key=lambda i: min(trial[i].seconds[1:]))]
    return b.best_way[net]


def tune(b, net, grid, rounds, **settings):
    """The peer's step size with the least final held-out loss, seed 1, and the trainings tried."""
    tried = []
    for step in grid:
        learner = b.peer(net, way_of(b, net, **settings), step=step, seed=1, **settings)
        together([learner], [rounds])
        tried.append(learner)
        print("%s: PyTorch, step %g: held-out loss %.4f after %d steps, %.1f s"
              % (net, step, learner.curve[-1][3], learner.curve[-1][0], learner.curve[-1][1]), flush=True)
    best = min(range(len(grid)), key=lambda i: tried[i].curve[-1][3])
    if best in (0, len(grid) - 1):
        print("%s: note: the best step size is at the end of its grid" % net)
    return grid[best], tried


def gpt_steps(b):
    step_times(b, "gpt", 10, "adamw", dict(metric="orthogonal"), batch=12, clip=1.0)


def cnn_steps(b):
    step_times(b, "cnn", 40, "adam", dict(metric="diagonal"), batch=64)


def lm(b):
    """Seconds to the loss at which PyTorch with AdamW ends after 800 steps: on the part of the text kept for the target."""
    every = 20
    settings = dict(LM_PEER, every=every)
    step, tried = tune(b, "gpt", LM_PEER_STEPS, LM_PEER["steps"] // every, **settings)
    found = []
    everyone = [("pytorch_tuning", learner) for learner in tried]
    for seed in SEEDS:
        peer = b.peer("gpt", b.best_way["gpt"], step=step, seed=seed, target=1, **settings)
        ours = [b.mine("gpt", workers=2, seed=seed, every=every, target=1, **s)
                for s in (LM_OURS, LM_MUON, dict(LM_PEER, step=step, slots=2))]
        rounds = [s["steps"] // every for s in (LM_PEER, LM_OURS, LM_MUON, LM_PEER)]
        together([peer] + ours, rounds)
        everyone += list(zip(("pytorch_adamw", "badm", "muon", "adamw"), [peer] + ours))
        target = peer.curve[-1][3]
        reached = [learner.reached(target) for learner in ours]
        print("lm: seed %d: target %.4f, PyTorch %.1f s; (steps, seconds) of BADM %s, Muon %s, AdamW %s"
              % (seed, target, peer.curve[-1][1], *reached), flush=True)
        found.append((peer.curve[-1], reached, ours))
    b.curves("lm", everyone)
    if any(reached[0] is None for _, reached, _ in found):
        raise speed.Failed("lm: BADM does not reach the target in %d steps" % LM_OURS["steps"])
    b.record("lm_time_to_loss", [p[1] / r[0][1] for p, r, _ in found], [r[0][1] for _, r, _ in found], [p[1] for p, _, _ in found], "seconds")
    result("lm_steps_ratio_adamw", statistics.median(p[0] / r[0][0] for p, r, _ in found))
    if all(r[1] for _, r, _ in found):
        result("lm_steps_ratio_muon", statistics.median(r[1][0] / r[0][0] for _, r, _ in found))
    else:
        print("lm: Muon does not reach the target in %d steps for every seed" % LM_MUON["steps"])
    result("lm_step_time_ratio", statistics.median((p[1] / p[0]) / (o[0].curve[-1][1] / o[0].curve[-1][0]) for p, _, o in found))


def vae(b):
    """Seconds to the ELBO that PyTorch with Adam reaches after 16 epochs."""
    epoch = 55000 // VAE["batch"]
    settings = dict(VAE, method="adam", every=epoch)
    step, tried = tune(b, "vae", VAE_PEER_STEPS, VAE_EPOCHS, **settings)
    epochs = VAE_OURS["epochs"]
    own = {k: v for k, v in VAE_OURS.items() if k != "epochs"}
    found, everyone = [], [("pytorch_tuning", learner) for learner in tried]
    for seed in SEEDS:
        peer = b.peer("vae", b.best_way["vae"], step=step, seed=seed, **settings)
        ours = b.mine("vae", workers=2, seed=seed, every=epoch // 2, steps=epochs * epoch, **own)
        together([peer, ours], [VAE_EPOCHS, 2 * epochs])
        everyone += [("pytorch_adam", peer), ("badm", ours)]
        target = peer.curve[-1][3]
        reached = ours.reached(target)
        print("vae: seed %d: target ELBO %.3f nats, PyTorch %.1f s; BADM (steps, seconds) %s, at the end %.3f"
              % (seed, -target, peer.curve[-1][1], reached, -ours.curve[-1][3]), flush=True)
        found.append((peer.curve[-1], reached))
    b.curves("vae", everyone)
    if any(r is None for _, r in found):
        raise speed.Failed("vae: BADM does not reach the target in %d epochs" % epochs)
    b.record("vae_time_to_elbo", [p[1] / r[1] for p, r in found], [r[1] for _, r in found], [p[1] for p, _ in found], "seconds")
    result("vae_epochs_ratio", statistics.median(p[0] / r[0] for p, r in found))


def cnn_99(b):
    """Seconds to 99 % on held-out MNIST images; then accuracy on the test set after 5 epochs on all 60,000."""
    every = 100
    epoch = 55000 // CNN["batch"]
    rounds = CNN_EPOCHS * epoch // every
    step, tried = tune(b, "cnn", CNN_PEER_STEPS, rounds, **dict(CNN, method="adam", every=every))
    reached = [(learner.reached(0.99, 4), s) for learner, s in zip(tried, CNN_PEER_STEPS)]
    reached = [(r[1], s) for r, s in reached if r]
    if not reached:
        raise speed.Failed("cnn_99: PyTorch does not reach 99 % in " + "%d epochs" % CNN_EPOCHS)
    step = min(reached)[1]          # what counts here is the time
    print("cnn: PyTorch's step size that reaches 99 %% first: %g" % step)
    found, everyone = [], [("pytorch_tuning", learner) for learner in tried]
    for seed in SEEDS:
        peer = b.peer("cnn", b.best_way["cnn"], step=step, seed=seed, method="adam", every=every, **CNN)
        ours = b.mine("cnn", workers=2, seed=seed, **CNN_99_OURS)
        together([peer, ours], [rounds, CNN_99_OURS["steps"] // CNN_99_OURS["every"]])
        everyone += [("pytorch_adam", peer), ("badm", ours)]
        pair = peer.reached(0.99, 4), ours.reached(0.99, 4)
        print("cnn: seed %d: 99 %% (steps, seconds): PyTorch %s, BADM %s" % (seed, *pair), flush=True)
        found.append(pair)
    b.curves("cnn", everyone)
    if any(ours is None for _, ours in found):
        raise speed.Failed("cnn_99: BADM does not reach 99 %% in %d steps" % CNN_99_OURS["steps"])
    found = [(p or everyone[-2][1].curve[-1][:2], o) for p, o in found]        # a peer that does not is counted with all its time
    b.record("cnn_time_to_99", [p[1] / o[1] for p, o in found], [o[1] for _, o in found], [p[1] for p, _ in found], "seconds")
    scores = []
    for seed in SEEDS:
        full = 60000 // CNN["batch"]
        ours = b.mine("cnn", workers=2, seed=seed, every=full, rows=60000, evaluate=0, steps=CNN_EPOCHS * full, **CNN_OURS)
        scores.append(together([ours], [CNN_EPOCHS], lambda learner=ours: learner.ask("test")[3]))
    print("cnn: test accuracy of seeds: %s" % ", ".join("%.4f" % s for s in scores))
    result("mnist_cnn_accuracy", statistics.median(scores))


def paired(b, net, name, grid, seeds, rounds, every, common, methods):
    """Chooses each method's step size by held-out accuracy of seed 101 (equal grids), then test accuracies of paired seeds."""
    scores = {}
    for who, settings in methods.items():
        tried = []
        for step in grid[who]:
            learner = b.mine(net, workers=2, seed=101, step=step, every=every, **dict(common, **settings))
            together([learner], [rounds])
            tried.append(learner.curve[-1][4])
        best = max(range(len(tried)), key=lambda i: tried[i])
        edge = ", at the end of its grid" if best in (0, len(tried) - 1) else ""
        print("%s: %s: held-out accuracy %s; step %g%s"
              % (name, who, ", ".join("%g: %.4f" % pair for pair in zip(grid[who], tried)), grid[who][best], edge), flush=True)
        scores[who] = []
        for seed in seeds:
            learner = b.mine(net, workers=2, seed=seed, step=grid[who][best], every=every, **dict(common, **settings, evaluate=0))
            scores[who].append(together([learner], [rounds], lambda one=learner: one.ask("test")[3]))
        print("%s: %s: test accuracies %s" % (name, who, ", ".join("%.4f" % s for s in scores[who])), flush=True)
    return scores


def fashion(b):
    epoch = 55000 // CNN["batch"]
    common = dict(CNN, images="fashion", slots=2, schedule="linear", steps=CNN_EPOCHS * epoch)
    grid = dict(badm=(1e-3, 2e-3, 4e-3, 8e-3, 16e-3), adam=(1e-3, 2e-3, 4e-3, 8e-3, 16e-3))
    scores = paired(b, "cnn", "fashion", grid, (1, 2, 3, 4, 5), CNN_EPOCHS, epoch, common,
                    dict(badm=dict(metric="diagonal"), adam=dict(method="adam")))
    gain = [x - y for x, y in zip(scores["badm"], scores["adam"])]
    mean, half = statistics.mean(gain), 2.776 * statistics.stdev(gain) / len(gain) ** 0.5      # Student's t, 4 degrees of freedom
    print("fashion: BADM less Adam: %.4f, 95 %% interval %.4f to %.4f" % (mean, mean - half, mean + half))
    result("fashion_badm_minus_adam", mean)


def cora(b):
    common = dict(slots=1)
    grid = dict(badm=(5e-3, 1e-2, 2e-2, 4e-2, 8e-2), adam=(5e-3, 1e-2, 2e-2, 4e-2, 8e-2))
    scores = paired(b, "gcn", "cora", grid, range(1, 11), 1, 200, common, dict(badm=dict(metric="diagonal"), adam=dict(method="adam")))
    result("cora_badm_accuracy", statistics.mean(scores["badm"]))
    result("cora_adam_accuracy", statistics.mean(scores["adam"]))
    common = dict(evaluate=0, step=1e-2, method="adam", every=50)
    ours = [b.mine("gcn", workers=2, **common), b.mine("gcn", workers=1, **common)]
    peers = [b.peer("gcn", way, form=form, **common) for form in ("dense", "csr", "coo") for way in WAYS]
    together(ours + peers, [REPETITIONS + 1] * (len(ours) + len(peers)))
    best = min(peers, key=lambda p: p.median)
    print("cora: the fastest of PyTorch: %s, %d threads" % (best.settings["form"], best.settings["workers"]))
    b.compare("gcn_epoch", ours[0], best)
    b.compare("gcn_epoch_1w", ours[1], best)


def wgan(b):
    """Frechet distances of examples/wgan.c after equally many steps, whose seconds are printed: step sizes by held-out images and seeds
    of their own, from grids of equal size; then the test images."""
    program = b.compile("../examples/wgan", ["-lpthread", "-lm"])
    if not program:
        raise speed.Failed("examples/wgan.c does not compile")
    folder = os.path.join(b.out, "wgan_runs")
    os.makedirs(folder, exist_ok=True)
    classifier = os.path.join(folder, "wgan_classifier.safetensors")

    def run(method, step, seed, *more):
        words = [program, "--method", method, "--images", "20000", "--epochs", "4", "--seed", str(seed), "--out", folder]
        words += ["--sigma", "%g" % (1 / step)] if method == "diagonal" else ["--lr", "%g" % step]
        words += ["--classifier", classifier] if os.path.exists(classifier) else []
        output = subprocess.run(words + list(more) + [b.source], check=True, stdout=subprocess.PIPE).stdout.decode().splitlines()
        said = dict(line.split()[1:] for line in output if line.startswith("RESULT"))
        return float(said["wgan_distance"]), float(said["wgan_seconds"])

    found = {}
    for who, method in (("badm", "diagonal"), ("rmsprop", "rmsprop"), ("adam", "adam")):
        grid = [2e-3 * 2.0 ** (i / 2) for i in range(7)]
        tried = [statistics.mean(run(method, step, seed, "--held-out", "5000")[0] for seed in (101, 102)) for step in grid]
        best = grid[tried.index(min(tried))]
        print("wgan: %s: held-out distances %s; step %g%s" % (who, ", ".join("%g: %.1f" % pair for pair in zip(grid, tried)), best,
                                                              ", at the end of its grid" if best in (grid[0], grid[-1]) else ""), flush=True)
        found[who] = [run(method, best, seed) for seed in range(1, 8)]
        print("wgan: %s: test distances %s, %.2f seconds" % (who, ", ".join("%.1f" % d for d, _ in found[who]),
                                                           statistics.median(t for _, t in found[who])), flush=True)
    for who, pairs in found.items():
        result("wgan_%s_fd" % who, statistics.median(d for d, _ in pairs))
        result("wgan_%s_fd_mean" % who, statistics.mean(d for d, _ in pairs))


def memory(b):
    """S = W = 1: the trainer less its tapes, with the parameters, against PyTorch with Adam: parameters, gradients, moments."""
    for net, settings in (("gpt", dict(batch=12)), ("cnn", dict(batch=64)), ("vae", dict(batch=128)), ("gcn", {})):
        ours = b.mine(net, every=2, evaluate=0, metric="diagonal", **settings)
        peer = b.peer(net, every=2, evaluate=0, method="adam", **settings)
        together([ours, peer], [1, 1], lambda: (ours.said.update(m=ours.ask("memory")), peer.said.update(m=peer.ask("memory"))))
        parameters, trainer, tapes, _ = ours.said["m"]
        result("memory_%s_bytes" % net, parameters + trainer - tapes)
        result("memory_%s_tape_bytes" % net, tapes)
        result("memory_%s_pytorch_bytes" % net, peer.said["m"][1])
        result("memory_%s_over_pytorch" % net, (parameters + trainer - tapes) / peer.said["m"][1])


GROUPS = {"gpt_steps": gpt_steps, "cnn_steps": cnn_steps, "lm": lm, "vae": vae, "cnn_99": cnn_99, "fashion": fashion, "cora": cora,
          "wgan": wgan, "memory": memory}


def main():
    wanted = sys.argv[3:] or list(GROUPS)
    unknown = [name for name in wanted if name not in GROUPS]
    if len(sys.argv) < 3 or unknown:
        print("usage: /usr/bin/python3 bench/tasks.py OUT DATA [%s]" % "|".join(GROUPS), file=sys.stderr)
        return 2
    failed = 0
    try:
        b = Tasks(sys.argv[1], sys.argv[2])
    except (speed.Failed, OSError) as error:
        print("FAILED: %s" % error)
        return 1
    for name in wanted:
        print("== " + name, flush=True)
        disturbance = speed.Disturbance()
        try:
            GROUPS[name](b)
            disturbance.tell()
        except (speed.Failed, OSError, ValueError) as error:
            print("FAILED: %s: %s" % (name, error), flush=True)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
