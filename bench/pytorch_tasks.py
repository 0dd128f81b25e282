"""PyTorch's side of tasks.py: the work of bench/tasks.c, by the same protocol and with the same settings.

    OMP_NUM_THREADS=T OPENBLAS_NUM_THREADS=B python3 bench/pytorch_tasks.py NET DATA [key=value]...

Settings read here: method (sgd, momentum, nesterov, rmsprop, adam, adamw, nadam), images, step (the learning rate), beta, beta2, eps,
decay, clip, batch, workers (threads), seed, every, evaluate, target, rows, schedule, steps, warmup, last; form of the graph: dense, csr or coo.
The optimiser works on lists of tensors (foreach) where that is faster in a trial, batches are gathered by index_select, gradients
set to None; the training loss is read once a "go".
"""
import math
import sys
import time
import warnings

import numpy
import torch
import torch.nn.functional as F
from torch import nn

LAYERS, WIDTH, HEADS, CONTEXT, LATENT = 4, 128, 4, 64, 20
SETTINGS = {"method": "adam", "metric": "", "images": "mnist", "step": 1e-3, "beta": 0.9, "beta2": 0.999, "eps": 1e-8, "decay": 0.0,
            "clip": 0.0, "batch": 128, "slots": 1, "workers": 1, "seed": 1, "every": 100, "evaluate": 1, "target": 0, "rows": 0,
            "schedule": "constant", "steps": 0, "warmup": 0, "last": 0.0, "form": "coo"}


class Images:
    """[rows,784] in 0..1; the first `rows` of the training images for training, the others held out."""

    def __init__(self, s, data):
        def read(what):
            return torch.from_numpy(numpy.load("%s/%s_%s.npy" % (data, s["images"], what)))
        # bytes are kept and turned into numbers as they are gathered, on both sides
        x, y, test_x, test_y = read("train_images"), read("train_labels").long(), read("test_images"), read("test_labels").long()
        rows = s["rows"] or 55000
        self.train, self.test = (x[:rows].reshape(-1, 784), y[:rows]), (test_x.reshape(-1, 784), test_y)
        self.held_out = (x[rows:].reshape(-1, 784), y[rows:]) if rows < len(x) else self.train
        self.n, self.batch, self.order = rows, s["batch"], iter(())

    def next_batch(self):
        for index in self.order:
            if len(index) == self.batch:
                return self.train[0].index_select(0, index).float().mul_(1 / 255), self.train[1].index_select(0, index)
        self.order = iter(torch.randperm(self.n).split(self.batch))
        return self.next_batch()

    @staticmethod
    def pieces(part):
        for i in range(0, len(part[0]), 500):
            yield part[0][i:i + 500].float() / 255, part[1][i:i + 500]

    def evaluate(self, net, part):
        loss = hits = 0.0
        for x, y in self.pieces(getattr(self, part)):
            out, hit = net.held_out(x, y)
            loss += out.item() * len(x)
            hits += hit
        n = len(getattr(self, part)[0])
        return loss / n, hits / n


class Cnn(nn.Module):
    data = Images

    def __init__(self, _, __):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(32 * 7 * 7, 128), nn.Linear(128, 10)

    def logits(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x.view(-1, 1, 28, 28)), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        return self.fc2(F.relu(self.fc1(x.flatten(1))))

    def forward(self, x, y):
        return F.cross_entropy(self.logits(x), y)

    def held_out(self, x, y):
        out = self.logits(x)
        return F.cross_entropy(out, y), (out.argmax(1) == y).sum().item()


class Vae(nn.Module):
    data = Images

    def __init__(self, _, __):
        super().__init__()
        self.encoder, self.mean, self.log_var = nn.Linear(784, 256), nn.Linear(256, LATENT), nn.Linear(256, LATENT)
        self.decoder1, self.decoder2 = nn.Linear(LATENT, 256), nn.Linear(256, 784)
        self.noise = torch.Generator()

    def negative_elbo(self, x, noise):
        h = F.relu(self.encoder(x))
        mean, log_var = self.mean(h), self.log_var(h)
        z = mean + noise * torch.exp(0.5 * log_var)
        out = self.decoder2(F.relu(self.decoder1(z)))
        kl = -0.5 * torch.sum(1 + log_var - mean * mean - log_var.exp())
        return (F.binary_cross_entropy_with_logits(out, x, reduction="sum") + kl) / len(x)

    def forward(self, x, _):
        return self.negative_elbo(x, torch.randn(len(x), LATENT))

    def held_out(self, x, _):
        return self.negative_elbo(x, torch.randn(len(x), LATENT, generator=self.noise)), 0


class Text:
    """Windows of CONTEXT characters; 90 % for training, 5 % for tuning (held out), 5 % for the target (test)."""

    def __init__(self, s, data):
        text = torch.from_numpy(numpy.load(data + "/text.npy")).long()
        n = len(text)
        self.text, self.batch = text[:n // 10 * 9], s["batch"]
        self.held_out, self.test = text[n // 10 * 9:][:n // 20], text[n // 20 * 19:][:n // 20]
        self.span, self.order = torch.arange(CONTEXT + 1), iter(())

    def next_batch(self):
        for index in self.order:
            if len(index) == self.batch:
                both = self.text[index[:, None] + self.span]
                return both[:, :-1], both[:, 1:]
        self.order = iter(torch.randperm(len(self.text) - CONTEXT - 1).split(self.batch))
        return self.next_batch()

    def evaluate(self, net, part):
        text = getattr(self, part)
        n = (len(text) - 1) // CONTEXT
        x, y = text[:n * CONTEXT].view(n, CONTEXT), text[1:n * CONTEXT + 1].view(n, CONTEXT)
        net.eval()
        loss = sum(net(x[i:i + 64], y[i:i + 64]).item() * len(x[i:i + 64]) for i in range(0, n, 64))
        return loss / n, -1


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.register_buffer("future", torch.ones(CONTEXT, CONTEXT).triu(1).bool())

    def forward(self, x):
        n, length, _ = x.shape
        q, k, v = (a.view(n, length, HEADS, WIDTH // HEADS).transpose(1, 2) for a in self.qkv(self.norm1(x)).split(WIDTH, 2))
        a = (q @ k.transpose(-2, -1)) * (1 / math.sqrt(WIDTH // HEADS))
        a = F.softmax(a.masked_fill(self.future, -math.inf), -1) @ v
        x = x + self.out(a.transpose(1, 2).reshape(n, length, WIDTH))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Gpt(nn.Module):
    data = Text

    def __init__(self, _, data):
        super().__init__()
        characters = int(data.text.max()) + 1
        self.token, self.position = nn.Embedding(characters, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, characters)
        for name, p in self.named_parameters():     # as nanoGPT
            if p.dim() == 2:
                nn.init.normal_(p, 0, 0.02 / math.sqrt(2 * LAYERS) if name.endswith(("out.weight", "down.weight")) else 0.02)
            elif "norm" not in name:
                nn.init.zeros_(p)

    def forward(self, x, y):
        x = self.norm(self.blocks(self.token(x) + self.position.weight))
        return F.cross_entropy(self.head(x).flatten(0, 1), y.flatten())


class Graph:
    def __init__(self, s, data):
        row, column, start, end, labels = (torch.from_numpy(numpy.load("%s/cora_%s.npy" % (data, what))).long()
                                           for what in ("row", "column", "from", "to", "labels"))
        n = len(labels)
        x = torch.zeros(n, int(column.max()) + 1)
        x[row, column] = 1
        x /= x.sum(1, keepdim=True)
        a = torch.eye(n)
        a[start, end] = a[end, start] = 1
        d = a.sum(1).rsqrt()
        a = d[:, None] * a * d
        if s["form"] != "dense":
            warnings.filterwarnings("ignore", "Sparse CSR")         # a beta in PyTorch 1.13
            a, x = a.to_sparse_csr() if s["form"] == "csr" else a.to_sparse().coalesce(), x.to_sparse().coalesce()
        self.whole = a, x, labels
        at = torch.arange(n)
        self.train, self.held_out, self.test = at < 140, (at >= 200) & (at < 500), (at >= 500) & (at < 1500)

    def next_batch(self):
        return self.whole, self.train

    def evaluate(self, net, part):
        return net.score(self.whole, getattr(self, part))


class Gcn(nn.Module):
    data = Graph

    def __init__(self, s, data):
        super().__init__()
        self.w1 = nn.Parameter(nn.init.xavier_uniform_(torch.empty(data.whole[1].shape[1], 16)))
        self.w2 = nn.Parameter(nn.init.xavier_uniform_(torch.empty(16, 7)))
        self.b1, self.b2 = nn.Parameter(torch.zeros(16)), nn.Parameter(torch.zeros(7))
        self.sparse = s["form"] != "dense"

    def logits(self, a, x):
        if self.sparse:
            kept = torch.sparse_coo_tensor(x.indices(), F.dropout(x.values(), 0.5, self.training), x.shape)
            kept._coalesced_(True)      # its indices are x's
            h = F.relu(torch.sparse.mm(a, torch.sparse.mm(kept, self.w1)) + self.b1)
            return torch.sparse.mm(a, F.dropout(h, 0.5, self.training) @ self.w2) + self.b2
        h = F.relu(a @ (F.dropout(x, 0.5, self.training) @ self.w1) + self.b1)
        return a @ (F.dropout(h, 0.5, self.training) @ self.w2) + self.b2

    def forward(self, whole, rows):
        a, x, y = whole
        return F.cross_entropy(self.logits(a, x)[rows], y[rows]) + 2.5e-4 * (self.w1 * self.w1).sum()

    def score(self, whole, rows):
        a, x, y = whole
        out = self.logits(a, x)[rows]
        return F.cross_entropy(out, y[rows]).item(), (out.argmax(1) == y[rows]).float().mean().item()


NETS = {"gpt": Gpt, "cnn": Cnn, "vae": Vae, "gcn": Gcn}


def optimiser(s, parameters):
    step, betas = s["step"], (s["beta"], s["beta2"])
    return {"sgd": lambda: torch.optim.SGD(parameters, step, foreach=True),
            "momentum": lambda: torch.optim.SGD(parameters, step, s["beta"], foreach=True),
            "nesterov": lambda: torch.optim.SGD(parameters, step, s["beta"], nesterov=True, foreach=True),
            "rmsprop": lambda: torch.optim.RMSprop(parameters, step, s["beta2"], s["eps"], foreach=True),
            "adam": lambda: torch.optim.Adam(parameters, step, betas, s["eps"], foreach=True),
            "adamw": lambda: torch.optim.AdamW(parameters, step, betas, s["eps"], s["decay"], foreach=True),
            "nadam": lambda: torch.optim.NAdam(parameters, step, betas, s["eps"], foreach=True)}[s["method"]]()


def factor(s, step):
    """As badm_schedule_factor."""
    if step < s["warmup"]:
        return (step + 1) / s["warmup"]
    if s["schedule"] == "constant":
        return 1
    part = min(1, (step - s["warmup"]) / max(1, s["steps"] - s["warmup"]))
    return s["last"] + (1 - s["last"]) * (1 - part if s["schedule"] == "linear" else 0.5 * (1 + math.cos(math.pi * part)))


def main():
    s = dict(SETTINGS)
    for text in sys.argv[3:]:
        key, _, value = text.partition("=")
        s[key] = type(SETTINGS[key])(value)
    torch.set_num_threads(s["workers"])
    torch.manual_seed(s["seed"])
    kind = NETS[sys.argv[1]]
    data = kind.data(s, sys.argv[2])
    net = kind(s, data)
    parameters = list(net.parameters())
    optimise = optimiser(s, parameters)
    rate = torch.optim.lr_scheduler.LambdaLR(optimise, lambda step: factor(s, step))
    scheduled = s["schedule"] != "constant" or s["warmup"] > 0
    print("ready", flush=True)
    for line in sys.stdin:
        if line == "test\n":
            with torch.no_grad():
                net.eval()
                print("0 0 %.9g %.9g" % data.evaluate(net, "test"), flush=True)
            continue
        if line == "memory\n":
            held = [p for p in parameters] + [p.grad for p in parameters]
            held += [v for state in optimise.state.values() for v in state.values() if torch.is_tensor(v) and v.dim()]
            print("%d %d 0 -1" % (sum(4 * p.numel() for p in parameters), sum(4 * v.numel() for v in held)), flush=True)
            continue
        net.train()
        start = time.perf_counter()
        for _ in range(s["every"]):
            x, y = data.next_batch()
            loss = net(x, y)
            for p in parameters:
                p.grad = None
            loss.backward()
            if s["clip"]:
                nn.utils.clip_grad_norm_(parameters, s["clip"])
            optimise.step()
            if scheduled:
                rate.step()
        seconds = time.perf_counter() - start
        score = (-1, -1)
        if s["evaluate"]:
            with torch.no_grad():
                net.eval()
                if hasattr(net, "noise"):
                    net.noise.manual_seed(7)
                score = data.evaluate(net, "test" if s["target"] else "held_out")
        print("%.9g %.9g %.9g %.9g" % (seconds, loss.item(), *score), flush=True)


if __name__ == "__main__":
    main()
