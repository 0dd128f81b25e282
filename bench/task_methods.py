"""The methods compared on the four kinds of task, in our own trainer.

    /usr/bin/python3 bench/task_methods.py OUT DATA [--quick] [PART...]        PART: gpt, cnn, vae, gcn, scaling; none: all

For each task and method five step sizes, each twice the one before, with the same linear decay to 0; the window is moved until the
best (least held-out loss at the end, seed 101) is inside it. Then seeds 1 to 3 with the best. Writes OUT/tasks_METHODS.csv (every
evaluation), OUT/tasks_summary.csv and prints Markdown tables. Needs Debian's python3-numpy to read the data sets; no PyTorch.
--quick only shows that all of it runs.
"""
import os
import statistics
import sys

import tasks

SEEDS = (1, 2, 3)
METHODS = {
    "BADM plain": dict(metric="plain", step=0.1), "BADM diagonal": dict(metric="diagonal", step=2e-3),
    "BADM orthogonal": dict(metric="orthogonal", step=0.05), "Nesterov": dict(method="nesterov", step=0.02),
    "RMSProp": dict(method="rmsprop", step=1e-3), "Adam": dict(method="adam", step=2e-3), "AdamW": dict(method="adamw", step=2e-3, decay=0.01),
    "NAdamW": dict(method="nadamw", step=2e-3, decay=0.01), "Muon": dict(method="muon", step=0.02)}
# steps in all, steps between evaluations, what is common
TASKS = {
    "gpt": (240, 40, dict(batch=12, clip=1.0, beta2=0.99, warmup=20, slots=2)),
    "cnn": (800, 100, dict(batch=64, slots=2, images="fashion")),
    "vae": (1200, 200, dict(batch=128, slots=2)),
    "gcn": (100, 5, dict(slots=1))}
STARTS = {"gcn": {"BADM plain": 0.8, "Nesterov": 0.2, "BADM diagonal": 1e-2, "RMSProp": 1e-2, "Adam": 1e-2, "AdamW": 1e-2, "NAdamW": 1e-2},
          "vae": {"BADM plain": 4e-4, "Nesterov": 4e-5}}


class Runs(tasks.Tasks):
    def __init__(self, out, data, quick):
        super().__init__(out, data, with_torch=False)
        self.quick = quick
        self.summary = open(os.path.join(out, "tasks_summary.csv"), "w", encoding="ascii")
        self.summary.write("task,method,step_size,step_sizes_tried,loss,loss_sd,accuracy,seconds,steps_to_adamw\n")

    def train(self, net, seed, steps, every, **settings):
        if self.quick:
            steps = every = 2
        learner = self.mine(net, workers=2, seed=seed, steps=steps, every=every, schedule="linear", **settings)
        try:
            tasks.together([learner], [steps // every])
        except tasks.speed.Failed:      # a step size that is too long: the trainer refuses numbers that are not finite
            learner.curve.append((steps, 0, float("inf"), float("inf"), 0))
        return learner

    def best_step(self, net, first, **settings):
        """The best of a window of five steps that has it inside, and what was tried: {step: loss}."""
        steps, every, common = TASKS[net]
        tried = {}
        low = -2
        for _ in range(2 if self.quick else 6):
            window = [first * 2.0 ** i for i in range(low, low + 5)]
            for step in window:
                if step not in tried:
                    tried[step] = self.train(net, 101, steps, every, **dict(common, **settings, step=step)).curve[-1][3]
            best = min(window, key=lambda step: tried[step] if tried[step] == tried[step] else float("inf"))
            if window[0] < best < window[-1]:
                break
            low += 2 if best == window[-1] else -2
        return best, tried


def compare(b, net):
    steps, every, common = TASKS[net]
    runs, chosen, numbers = {}, {}, {}
    for who, settings in METHODS.items():
        settings = dict(settings)
        first = STARTS.get(net, {}).get(who, settings.pop("step"))
        settings.pop("step", None)
        step, tried = b.best_step(net, first, **settings)
        chosen[who], numbers[who] = step, tried
        runs[who] = [b.train(net, seed, steps, every, **dict(common, **settings, step=step)) for seed in SEEDS]
        print("%s: %s: %s" % (net, who, ", ".join("%g: %.4f" % pair for pair in sorted(tried.items()))), flush=True)
    b.curves(net, [(who.replace(" ", "_"), learner) for who in runs for learner in runs[who]])
    target = statistics.median(learner.curve[-1][3] for learner in runs["AdamW"])
    print("\n| %s | step size | held-out loss | sd | accuracy | steps to AdamW's loss |\n| --- | --- | --- | --- | --- | --- |" % net)
    for who, learners in sorted(runs.items(), key=lambda item: statistics.mean(learner.curve[-1][3] for learner in item[1])):
        last = [learner.curve[-1] for learner in learners]
        loss, sd = statistics.mean(p[3] for p in last), statistics.stdev(p[3] for p in last) if len(last) > 1 else 0
        accuracy, seconds = statistics.mean(p[4] for p in last), statistics.median(p[1] for p in last)
        reached = [learner.reached(target) for learner in learners]
        to = "%d" % statistics.median(r[0] for r in reached) if all(reached) else "never"
        print("| %s | %.3g | %.4f | %.4f | %.4f | %s |" % (who, chosen[who], loss, sd, accuracy, to))
        b.summary.write("%s,%s,%g,%d,%.6g,%.3g,%.5g,%.4g,%s\n" % (net, who, chosen[who], len(numbers[who]), loss, sd, accuracy, seconds, to))
        b.summary.flush()
    print(flush=True)


def scaling(b):
    """Batch size and S: loss after the same number of samples, and seconds, with two workers."""
    with open(os.path.join(b.out, "tasks_scaling.csv"), "w", encoding="ascii") as f:
        f.write("task,batch,slots,step_size,loss,accuracy,seconds\n")
        print("| task | batch | S | step size | held-out loss | accuracy | seconds |\n| --- | --- | --- | --- | --- | --- | --- |")
        samples, first = 800 * 64, 2e-3
        for batch in (32, 64, 128, 256, 512):
            for slots in (2, 1, 4, 8):
                steps = samples // batch
                grid = [first * 2.0 ** i for i in range(-1, 4)] if slots == 2 else [best]      # S does not change what is best
                rows = []
                for step in grid:
                    learner = b.train("cnn", 1, steps, steps // 4, images="fashion", batch=batch, slots=slots, metric="diagonal", step=step)
                    rows.append((learner.curve[-1][3], step, learner))
                loss, best, learner = min(rows, key=lambda row: row[0])
                last = learner.curve[-1]
                f.write("cnn,%d,%d,%g,%.6g,%.5g,%.4g\n" % (batch, slots, best, loss, last[4], last[1]))
                print("| cnn | %d | %d | %g | %.4f | %.4f | %.2f |" % (batch, slots, best, loss, last[4], last[1]), flush=True)


def main():
    words = [word for word in sys.argv[1:] if word != "--quick"]
    parts = words[2:] or list(TASKS) + ["scaling"]
    if len(words) < 2 or [part for part in parts if part not in TASKS and part != "scaling"]:
        print("usage: task_methods.py OUT DATA [--quick] [%s]" % "|".join(list(TASKS) + ["scaling"]), file=sys.stderr)
        return 2
    b = Runs(words[0], words[1], "--quick" in sys.argv)
    for part in parts:
        print("== " + part, flush=True)
        if part == "scaling":
            scaling(b)
        else:
            compare(b, part)
    return 0


if __name__ == "__main__":
    sys.exit(main())
