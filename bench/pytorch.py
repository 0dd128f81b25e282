"""PyTorch's side of speed.py: the work of bench/speed.c, by the protocol of bench/worker.h.

    OMP_NUM_THREADS=T OPENBLAS_NUM_THREADS=B python3 bench/pytorch.py NET METHOD T BATCH

Not one form of PyTorch is compared but its fastest here. Candidates: the forward pass and loss by modules, by functions, or
traced (torch.jit.trace); the optimiser over lists of tensors (foreach) or tensor by tensor. All run during the warm-up; the
winner is named after "ready". Common to all: batches by index_select from an order drawn by randperm and split once an epoch; gradients set to None;
the loss is not read back.
"""
import sys
import time

import torch
import torch.nn.functional as F

NETS = {"mlp": ((784, 256, 128, 10), 8192), "small": ((16, 32, 32, 4), 1024), "xor": ((2, 8, 1), 4)}


class BadmForeach:
    """m' = beta m + (1-beta) G, w -= (2m'-m)/sigma, that is w -= ((2beta-1) m + 2(1-beta) G)/sigma, over lists of tensors."""

    def __init__(self, parameters, sigma, rho):
        self.parameters = list(parameters)
        self.average = [torch.zeros_like(p) for p in self.parameters]
        self.sigma, self.beta = sigma, rho / (rho + sigma)

    @torch.no_grad()
    def step(self):
        gradients = [p.grad for p in self.parameters]
        torch._foreach_add_(self.parameters, self.average, alpha=-(2 * self.beta - 1) / self.sigma)
        torch._foreach_add_(self.parameters, gradients, alpha=-2 * (1 - self.beta) / self.sigma)
        torch._foreach_mul_(self.average, self.beta)
        torch._foreach_add_(self.average, gradients, alpha=1 - self.beta)


class BadmSingle(BadmForeach):
    """The same tensor by tensor, where lerp_ saves a pass: 2m'-m = ((2beta-1) m' + (1-beta) G)/beta."""

    @torch.no_grad()
    def step(self):
        for p, m in zip(self.parameters, self.average):
            m.lerp_(p.grad, 1 - self.beta)
            p.add_(m, alpha=-(2 * self.beta - 1) / (self.beta * self.sigma))
            p.add_(p.grad, alpha=-(1 - self.beta) / (self.beta * self.sigma))


def optimiser(method, form, parameters):
    """Long-run step 0.1 and momentum 0.9 in both."""
    if method == "momentum":
        return torch.optim.SGD(parameters, lr=0.01, momentum=0.9, foreach=form == "foreach")
    return (BadmForeach if form == "foreach" else BadmSingle)(parameters, sigma=10, rho=90)


class Net(torch.nn.Module):
    def __init__(self, width, is_xor):
        super().__init__()
        layers = []
        for inputs, outputs in zip(width, width[1:]):
            layers += [torch.nn.Linear(inputs, outputs), torch.nn.Tanh() if is_xor else torch.nn.ReLU()]
        self.layers = torch.nn.Sequential(*layers[:-1])
        self.criterion = torch.nn.BCEWithLogitsLoss() if is_xor else torch.nn.CrossEntropyLoss()

    def forward(self, x, y):
        return self.criterion(self.layers(x), y)


def by_functions(net, is_xor):
    parameters = list(net.parameters())
    *hidden, (last_weight, last_bias) = zip(parameters[::2], parameters[1::2])
    activation = torch.tanh if is_xor else torch.relu
    criterion = F.binary_cross_entropy_with_logits if is_xor else F.cross_entropy

    def forward(x, y):
        for weight, bias in hidden:
            x = activation(F.linear(x, weight, bias))
        return criterion(F.linear(x, last_weight, last_bias), y)
    return forward


class Training:
    def __init__(self, data, batch, method, width, forward, update):
        is_xor = len(width) == 3
        net = Net(width, is_xor)
        self.x, self.y = data
        self.batch, self.name = batch, forward + ", " + update
        self.parameters = list(net.parameters())
        self.optimiser = optimiser(method, update, self.parameters)
        self.forward = net
        if forward == "functions":
            self.forward = by_functions(net, is_xor)
        elif forward == "traced":
            self.forward = torch.jit.trace(net, (self.x[:batch], self.y[:batch]))
        self.whole = torch.arange(batch) if batch == len(self.x) else None
        self.order = iter(())
        self.loss = None

    def next_batch(self):
        if self.whole is not None:
            return self.whole
        for index in self.order:
            return index
        self.order = iter(torch.randperm(len(self.x)).split(self.batch))
        return next(self.order)

    def run(self, steps):
        """Seconds a step."""
        x, y, forward, parameters, update = self.x, self.y, self.forward, self.parameters, self.optimiser.step
        start = time.perf_counter()
        for _ in range(steps):
            index = self.next_batch()
            loss = forward(x.index_select(0, index), y.index_select(0, index))
            for p in parameters:
                p.grad = None
            loss.backward()
            update()
        self.loss = loss
        return (time.perf_counter() - start) / steps


def forget_peak_memory():
    """What follows counts, not the candidates that lost. (Linux; elsewhere the peak keeps them.)"""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as f:
            f.write("5")
    except OSError:
        pass


def main():
    net, method, threads, batch = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    width, rows = NETS[net]
    if net == "xor":
        data = torch.tensor([[0., 0.], [0., 1.], [1., 0.], [1., 1.]]), torch.tensor([[0.], [1.], [1.], [0.]])
    else:
        data = torch.rand(rows, width[0]), torch.randint(0, width[-1], (rows,))
    candidates = [Training(data, batch, method, width, forward, update)
                  for forward in ("modules", "functions", "traced") for update in ("foreach", "single")]
    for c in candidates:
        c.run(30)           # a traced graph is specialised in its first calls
    steps = int(0.08 / candidates[0].run(30)) + 1
    rounds = [[c.run(steps) for c in candidates] for _ in range(3)]
    times = [min(column) for column in zip(*rounds)]
    best = min(times)
    training = candidates[times.index(best)]
    del candidates
    forget_peak_memory()
    steps = int(0.3 / best) + 1
    training.run(steps)
    print("ready\nform " + training.name, flush=True)
    for _ in sys.stdin:
        print("%.9g" % training.run(steps), flush=True)
    print("loss %g" % training.loss.item())


if __name__ == "__main__":
    main()
