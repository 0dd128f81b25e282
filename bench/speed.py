"""Training steps of badm.h against PyTorch, FANN and itself with other workers; memory.

    /usr/bin/python3 bench/speed.py OUT [GROUP...]      from the project's folder; GROUP is one of those at the end; none: all

PyTorch and FANN are optional: Debian's python3-torch (hence Debian's python3 to run this) and libfann-dev; without them their lines
are left out. Programs are compiled into OUT with $CC; every one is a process of its own that waits while another one runs, and
they take turns every 0.3 s, so that all see the same noise. A figure is the median of the repetitions. Prints

    RATIO name value        the peer's seconds a step / ours: above 1, we are faster
    RESULT name value       anything else

and writes OUT/speed.csv: name, our seconds a step, the peer's, their ratio, unit, the quartiles of the repetitions' own ratios (the
spread), repetitions.
"""
import os
import resource
import select
import shlex
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
REPETITIONS = 13
PAUSE = 0.02            # seconds after a process has had its turn
PAUSE_BLAS = 0.2        # the same with OpenBLAS's threads, which spin for about 0.1 s after their last product before they sleep
STARTING = 120          # seconds a process may take to be ready
NET_BATCH = {"mlp": 128, "small": 16, "xor": 4}


class Failed(Exception):
    pass


class Process:
    """One of speed, fann, pytorch.py: see worker.h. cores None: all."""

    def __init__(self, command, cores=None, threads=1, blas=1):
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(blas))
        pin = (lambda: os.sched_setaffinity(0, cores)) if cores else None
        self.command = " ".join(command)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, preexec_fn=pin)
        self.unread = b""
        self.pause = PAUSE if blas == 1 else PAUSE_BLAS
        self.seconds = []
        self.said = {}
        try:
            if self.line() != "ready":
                raise Failed(self.command + ": it is not ready")
        except Failed:
            self.process.kill()
            self.process.wait()
            raise

    def line(self):
        until = time.monotonic() + STARTING
        while b"\n" not in self.unread:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, until - time.monotonic()))
            more = os.read(self.process.stdout.fileno(), 4096) if ready else b""
            if not more:
                raise Failed(self.command + (": it ended" if ready else ": no answer in %d s" % STARTING))
            self.unread += more
        line, self.unread = self.unread.split(b"\n", 1)
        return line.decode()

    def go(self):
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()
        line = self.line()
        while line.split(" ")[0] in ("bytes", "form"):
            self.remember(line)
            line = self.line()
        self.seconds.append(float(line))

    def remember(self, line):
        key, _, value = line.partition(" ")
        self.said[key] = value

    @property
    def median(self):
        return statistics.median(self.seconds)

    def peak_resident(self):
        """Bytes; None where there is no /proc."""
        try:
            with open("/proc/%d/status" % self.process.pid, encoding="ascii") as status:
                return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
        except (OSError, StopIteration):
            return None

    def end(self):
        self.process.stdin.close()
        rest = (self.unread + self.process.stdout.read()).decode().splitlines()
        self.process.stdout.close()
        if self.process.wait():
            raise Failed(self.command + ": it ended with %d" % self.process.returncode)
        for line in rest:
            self.remember(line)
        if "loss" not in self.said or not -1e30 < float(self.said["loss"]) < 1e30:
            raise Failed(self.command + ": its last loss is %s" % self.said.get("loss", "missing"))


class Bench:
    def __init__(self, out):
        self.out = out
        os.makedirs(out, exist_ok=True)
        self.core = {max(os.sched_getaffinity(0))}
        self.speed = self.compile("speed", ["-lpthread"])
        if not self.speed:
            raise Failed("bench/speed.c does not compile")
        self.fann = self.find_fann()
        self.torch = self.find_torch()
        self.csv = open(os.path.join(out, "speed.csv"), "w", encoding="ascii")
        self.csv.write("name,ours,peer,ratio,unit,low,high,repetitions\n")

    def compile(self, name, libraries, standard="c99"):
        program = os.path.join(self.out, name.replace("../", "").replace("/", "_"))
        source = os.path.join(HERE, name + ".c")
        command = shlex.split(os.environ.get("CC", "cc")) + ["-std=" + standard, "-O2", "-I" + os.path.dirname(HERE), source, "-o", program]
        print(" ".join(command + libraries), flush=True)
        return program if subprocess.run(command + libraries, check=False).returncode == 0 else None

    def find_fann(self):
        command = shlex.split(os.environ.get("CC", "cc")) + ["-E", "-x", "c", "-"]
        found = subprocess.run(command, input=b"#include <fann.h>\n", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               check=False)
        if found.returncode:
            print("libfann-dev is missing: the comparison with FANN is left out")
            return None
        program = self.compile("fann", ["-lfann", "-lm"])
        if not program:
            raise Failed("bench/fann.c does not compile")
        return program

    @staticmethod
    def find_torch():
        found = subprocess.run([sys.executable, "-c", "import torch"], stderr=subprocess.PIPE, check=False)
        if found.returncode == 0:
            return True
        print("python3-torch is missing (%s; %s): the comparison with PyTorch is left out"
              % (sys.executable, found.stderr.decode().strip().split("\n")[-1]))
        return False

    def ours(self, net, method, slots, workers, cores=None, batch=None):
        return Process([self.speed, net, method, str(slots), str(workers), str(batch or NET_BATCH[net])], cores)

    def theirs(self, net, method, cores=None, threads=1, blas=1):
        return Process([sys.executable, os.path.join(HERE, "pytorch.py"), net, method, str(threads), str(NET_BATCH[net])], cores,
                       threads, blas)

    def row(self, name, ours, peer):
        own = [p / o for o, p in zip(ours.seconds, peer.seconds)]
        low, _, high = statistics.quantiles(own, n=4, method="inclusive")
        ratio = peer.median / ours.median
        self.csv.write("%s,%.6g,%.6g,%.4f,seconds per step,%.4f,%.4f,%d\n"
                       % (name, ours.median, peer.median, ratio, low, high, len(own)))
        self.csv.flush()
        text = "%-34s %10.3f us %10.3f us  %7.3f (%.3f to %.3f)" % (name, 1e6 * ours.median, 1e6 * peer.median, ratio, low, high)
        return text, ratio

    def compare(self, name, ours, peer):
        text, ratio = self.row(name, ours, peer)
        print("%s %s" % (text, peer.said.get("form", "")))
        print("RATIO %s %.4f" % (name, ratio), flush=True)

    @staticmethod
    def peak(name, process):
        bytes_ = process.peak_resident()
        if bytes_:
            print("RESULT peak_resident_bytes_%s %d" % (name, bytes_), flush=True)


class Disturbance:
    """How much of a processor anything but this benchmark has used, the hypervisor's other guests included."""

    def __init__(self):
        self.since = self.now()

    @staticmethod
    def now():
        try:
            with open("/proc/stat", encoding="ascii") as stat:
                user, nice, system, _, _, irq, softirq, steal = (int(x) for x in stat.readline().split()[1:9])
        except (OSError, ValueError):
            return None
        busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
        own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return time.monotonic(), busy - sum(u.ru_utime + u.ru_stime for u in own)

    def tell(self):
        """Call it when all processes of a group have ended: only then are they counted."""
        now = self.now()
        if now and self.since:
            share = 100 * (now[1] - self.since[1]) / (now[0] - self.since[0])
            print("other programs: %.0f %% of one processor meanwhile%s"
                  % (max(0, share), ": TOO BUSY a machine for these figures" if share > 10 else ""), flush=True)


def take_turns(processes, repetitions):
    """All of them run once a repetition; every other repetition backwards."""
    for i in range(repetitions):
        for p in processes[::-1] if i % 2 else processes:
            p.go()
            time.sleep(p.pause)


def with_processes(make, use, repetitions=REPETITIONS):
    """make fills a list, so that what has been started is ended whatever happens."""
    started = []
    try:
        make(started)
        take_turns(started, repetitions)
        use(started)
        for p in started:
            p.end()
    finally:
        for p in started:
            if p.process.poll() is None:
                p.process.kill()
                p.process.wait()


def mlp_1w(b):
    def make(run):
        run.append(b.ours("mlp", "momentum", 1, 1, b.core))
        run.append(b.ours("mlp", "badm", 1, 1, b.core))
        if b.torch:
            run.append(b.theirs("mlp", "momentum", b.core))
            run.append(b.theirs("mlp", "badm", b.core))

    def use(run):
        b.peak("mlp_1w_ours", run[0])
        if b.torch:
            b.peak("mlp_1w_pytorch", run[2])
            b.compare("mlp_1w", run[0], run[2])
            b.compare("mlp_1w_badm", run[1], run[3])
            b.compare("mlp_1w_badm_vs_momentum", run[1], run[2])
    with_processes(make, use)


def mlp_2w(b):
    """PyTorch's best over its own threads and OpenBLAS's."""
    ways = [(threads, blas) for threads in (1, 2) for blas in (1, 2)]

    def make(run):
        for method in ("momentum", "badm"):
            run.append(b.ours("mlp", method, 2, 2))
            if b.torch:
                run.extend(b.theirs("mlp", method, None, threads, blas) for threads, blas in ways)

    def use(run):
        b.peak("mlp_2w_ours", run[0])
        if not b.torch:
            return
        half = len(run) // 2
        best = []
        for name, ours, peers in (("mlp_2w", run[0], run[1:half]), ("mlp_2w_badm", run[half], run[half + 1:])):
            for (threads, blas), peer in zip(ways, peers):
                print(b.row("%s_torch%d_blas%d" % (name, threads, blas), ours, peer)[0], peer.said.get("form", ""))
            best.append(min(peers, key=lambda p: p.median))
            b.compare(name, ours, best[-1])
        b.peak("mlp_2w_pytorch", best[0])
        b.compare("mlp_2w_badm_vs_momentum", run[half], best[0])
    with_processes(make, use)


def small_net(b, net):
    def make(run):
        run.append(b.ours(net, "momentum", 1, 1, b.core))
        if b.torch:
            run.append(b.theirs(net, "momentum", b.core))
        if b.fann:
            run.extend(Process([b.fann, net, algorithm], b.core) for algorithm in ("batch", "rprop"))

    def use(run):
        b.peak(net + "_1w_ours", run[0])
        if b.torch:
            b.peak(net + "_1w_pytorch", run[1])
            b.compare(net + "_1w", run[0], run[1])
        if b.fann:
            b.peak(net + "_1w_fann", run[-2])
            b.compare(net + "_fann", run[0], run[-2])
            b.compare(net + "_fann_rprop", run[0], run[-1])
    with_processes(make, use)

    def make_workers(run):
        run.extend(b.ours(net, "momentum", slots, workers) for slots in (1, 2) for workers in (1, 2))

    def use_workers(run):
        b.compare(net + "_2w_over_1w", run[1], run[0])
        b.compare(net + "_2w_over_1w_s2", run[3], run[2])
    with_processes(make_workers, use_workers)


def workers(b):
    def make(run):
        run.extend(b.ours("mlp", "badm", 4, w, None, batch) for batch in (128, 512) for w in (1, 2))

    def use(run):
        b.compare("workers_2", run[1], run[0])
        b.compare("workers_2_batch512", run[3], run[2])
    with_processes(make, use)


def memory(b):
    """speed prints the lines itself."""
    if subprocess.run([b.speed, "memory"], check=False).returncode:
        raise Failed("speed memory: it ended with an error")


GROUPS = {"mlp_1w": mlp_1w, "mlp_2w": mlp_2w, "xor": lambda b: small_net(b, "xor"), "small": lambda b: small_net(b, "small"),
          "workers": workers, "memory": memory}


def main():
    wanted = sys.argv[2:] or list(GROUPS)
    unknown = [name for name in wanted if name not in GROUPS]
    if len(sys.argv) < 2 or unknown:
        print("usage: /usr/bin/python3 bench/speed.py OUT [%s]" % "|".join(GROUPS), file=sys.stderr)
        return 2
    failed = 0
    try:
        b = Bench(sys.argv[1])
    except (Failed, OSError) as error:
        print("FAILED: %s" % error)
        return 1
    for name in wanted:
        print("== " + name, flush=True)
        disturbance = Disturbance()
        try:
            GROUPS[name](b)
            disturbance.tell()
        except (Failed, OSError, ValueError) as error:
            print("FAILED: %s: %s" % (name, error), flush=True)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
