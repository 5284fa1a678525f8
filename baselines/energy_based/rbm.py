"""Restricted Boltzmann machine: bits v in sight and hidden bits h, joined by weights between the two layers alone.

    p(v, h) = exp(v'W h + b'v + c'h) / Z                                      (Smolensky 1986; Hinton 2002, section 3)
    p(h_j = 1 | v) = s(c_j + (v'W)_j),    p(v_i = 1 | h) = s(b_i + (W h)_i),    s the logistic function
    log p(v) = -F(v) - log Z,    F(v) = -b'v - sum_j log(1 + exp(c_j + (v'W)_j))

so a sweep of Gibbs sampling is two steps, each of all bits of a layer at once. The gradient of -log p(v) is that of
F at the data less that of F at draws of the model. The draws are the difficulty, and there are two cheap stand-ins:

    cd     k sweeps from the data themselves: contrastive divergence                              (Hinton 2002)
    pcd    k sweeps from where the chains of the last step ended: they may wander far from the data   (Tieleman 2008)

Z sums over 2^(D + H) states, but one layer sums out in closed form, and the other can be enumerated if it is small:

    Z = sum_h exp(c'h) prod_i (1 + exp(b_i + (W h)_i))

Up to 16 bits in the smaller layer `log_prob` is exact, and so are samples: h from its own 2^H probabilities, then v.
Beyond, log Z is estimated by annealed importance sampling (`genbench/likelihood/partition.py`) along the machines

    log p*_beta(v) = (1 - beta) a'v + beta b'v + sum_j log(1 + exp(beta (c_j + (v'W)_j)))

which begin at beta = 0 with independent pixels of log-odds a, those of the training data, and end with the model
(Salakhutdinov and Murray 2008, equations 15 to 17); samples are then where Gibbs chains from these pixels end.

References:
    Information processing in dynamical systems: foundations of harmony theory (Smolensky, 1986).
    Training products of experts by minimizing contrastive divergence (Hinton, 2002).
    Training restricted Boltzmann machines using approximations to the likelihood gradient (Tieleman, 2008).
    On the quantitative analysis of deep belief networks (Salakhutdinov, Murray, 2008).
    Statistical analysis of non-lattice data (Besag, 1975), for the pseudo-likelihood that larger machines are kept by.
    A practical guide to training restricted Boltzmann machines (Hinton, 2010), for the first weights and biases.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Objective, Preset, Space, Stage

VERSION = 1
METHODS = ("cd", "pcd")
ENUMERABLE, CHUNK = 16, 2**13  # bits of the smaller layer; states at once


def bernoulli(logits: Tensor, generator: Generator) -> Tensor:
    """Bits that are 1 with probability s(logits), as floats."""
    return torch.bernoulli(logits.sigmoid(), generator=generator)


def states(numbers: Tensor, bits: int) -> Tensor:
    """Numbers 0..2^bits - 1 as rows of bits: [n] -> [n, bits] float64."""
    return (numbers[:, None] >> torch.arange(bits, device=numbers.device) & 1).double()


class RBM(nn.Module):
    """W [D, H], b [D], c [H].

    Arguments:
        hidden: H.
        method: "cd" or "pcd".
        k: sweeps for each step of training.
        chains: of "pcd".
        sweeps: of a sample, where neither layer can be enumerated.
    """

    chains: Tensor
    base: Tensor

    def __init__(self, space: Space, *, hidden: int, method: str, k: int, chains: int, sweeps: int) -> None:
        super().__init__()
        self.space, self.hidden, self.method, self.k, self.sweeps = space, hidden, method, k, sweeps
        self.W = nn.Parameter(0.01 * torch.randn(space.dim, hidden))
        self.b, self.c = nn.Parameter(torch.zeros(space.dim)), nn.Parameter(torch.zeros(hidden))
        self.register_buffer("base", torch.zeros(space.dim))  # a
        self.register_buffer("chains", torch.zeros(chains if method == "pcd" else 0, space.dim, dtype=torch.uint8))

    @torch.no_grad()
    def initialise(self, x: Tensor, generator: Generator) -> None:
        """a and b become the log-odds of the pixels, one example of each kind added; chains begin at examples."""
        v = self.flat(x)
        self.base.copy_(torch.logit((v.sum(0) + 1) / (len(v) + 2)))
        self.b.copy_(self.base)
        first = torch.randint(len(v), (len(self.chains),), generator=generator, device=generator.device)
        self.chains.copy_(v[first])

    def flat(self, x: Tensor) -> Tensor:
        return x.flatten(1).to(self.W.dtype)

    def log_mass(self, v: Tensor, beta: float = 1.0) -> Tensor:
        """log p*_beta(v); at 1 it is -F(v): [n, D] -> [n]."""
        return v @ ((1 - beta) * self.base + beta * self.b) + F.softplus(beta * (self.c + v @ self.W)).sum(1)

    def sweep(self, v: Tensor, generator: Generator, beta: float = 1.0) -> Tensor:
        """h given v, then v given h; leaves p_beta as it is: [n, D] -> [n, D]."""
        h = bernoulli(beta * (self.c + v @ self.W), generator)
        return bernoulli((1 - beta) * self.base + beta * (self.b + h @ self.W.T), generator)

    @torch.no_grad()
    def imagined(self, v: Tensor, generator: Generator) -> Tensor:
        """What stands for draws of the model, `k` sweeps from data v or from the chains, which in training move on."""
        end = v if self.method == "cd" else self.chains.to(v.dtype)
        for _ in range(self.k):
            end = self.sweep(end, generator)
        if self.method == "pcd" and self.training:
            self.chains.copy_(end)
        return end

    def contrast(self, x: Tensor, generator: Generator) -> Tensor:
        """Its gradient is the learning rule; its value says little."""
        v = self.flat(x)
        return self.log_mass(self.imagined(v, generator)).mean() - self.log_mass(v).mean()

    def judged(self, x: Tensor, generator: Generator) -> Tensor:
        """Minus the log of prod_i p(v_i | the others), which needs no Z: each bit against its flip (Besag 1975)."""
        v = self.flat(x)
        total = torch.zeros(len(v), dtype=v.dtype, device=v.device)
        for i in range(v.shape[1]):
            flipped = v.clone()
            flipped[:, i] = 1 - flipped[:, i]
            total += F.softplus(self.log_mass(flipped) - self.log_mass(v))
        return total.mean()

    def stages(self) -> tuple[Stage, ...]:
        learn = Objective("contrast", [self.W, self.b, self.c], self.contrast)
        return (Stage("train", (learn,), self.judged),)

    def encode(self, x: Tensor) -> Tensor:
        """p(h = 1 | v): [B, *shape] -> [B, H]."""
        return (self.c + self.flat(x) @ self.W).sigmoid()

    def reconstruct(self, x: Tensor) -> Tensor:
        """p(v = 1 | h) at the mean of h, one mean-field sweep: [B, *shape] -> [B, *shape]."""
        return (self.b + self.encode(x) @ self.W.T).sigmoid().view(-1, *self.space.shape)

    def bits(self, v: Tensor) -> Tensor:
        return v.long().view(-1, *self.space.shape)

    def sample(self, n: int, generator: Generator) -> Tensor:
        v = self.flat(self.sample_base(n, generator))
        for _ in range(self.sweeps):
            v = self.sweep(v, generator)
        return self.bits(v)

    # What annealing between the pixels and the model asks of it: `Unnormalised` in genbench/models/capabilities.py

    def log_unnormalised(self, x: Tensor, beta: float = 1.0) -> Tensor:
        return self.log_mass(self.flat(x), beta)

    def log_base_partition(self) -> Tensor:
        return F.softplus(self.base).sum() + self.hidden * torch.log(torch.tensor(2.0))

    def sample_base(self, n: int, generator: Generator) -> Tensor:
        return self.bits(bernoulli(self.base.expand(n, -1), generator))

    def transition(self, x: Tensor, beta: float, generator: Generator) -> Tensor:
        return self.bits(self.sweep(self.flat(x), generator, beta))


class EnumerableRBM(RBM):
    """With at most 16 bits in one layer nothing is left to estimate."""

    def all_masses(self) -> Tensor:
        """log of the sum over the larger layer of exp(...), for every state of the smaller: [2^m] float64."""
        W, own, other = self.W.double(), self.b.double(), self.c.double()
        if self.hidden < self.space.dim:
            W, own, other = W.T, other, own
        numbers = torch.arange(2 ** len(own), device=W.device).split(CHUNK)
        rows = (states(part, len(own)) for part in numbers)
        return torch.cat([s @ own + F.softplus(other + s @ W).sum(1) for s in rows])

    def log_partition(self) -> Tensor:
        """log Z, exact."""
        return self.all_masses().logsumexp(0)

    def log_prob(self, x: Tensor) -> Tensor:
        """[B, *shape] -> [B]."""
        return (self.log_unnormalised(x).double() - self.log_partition()).float()

    def judged(self, x: Tensor, generator: Generator) -> Tensor:
        return -self.log_prob(x).mean()

    def sample(self, n: int, generator: Generator) -> Tensor:
        """Independent and exact: the smaller layer by its own probabilities, and if that is h, v given h."""
        p = self.all_masses().softmax(0)
        drawn = torch.multinomial(p, n, replacement=True, generator=generator)
        if self.hidden >= self.space.dim:
            return self.bits(states(drawn, self.space.dim))
        return self.bits(bernoulli(self.b + states(drawn, self.hidden).to(self.W.dtype) @ self.W.T, generator))


PRESETS = {
    "digits-binary": Preset(
        {"hidden": 16, "method": "pcd", "k": 5, "chains": 256},
        steps=8000,
        batch_size=128,
        lr=5e-3,
        ema=0.995,
        validate_every=400,
    ),
}


def build(
    space: Space, *, hidden: int = 16, method: str = "pcd", k: int = 1, chains: int = 128, sweeps: int = 1000
) -> RBM:
    """Raises ValueError for a space of other than two levels, another method, no hidden unit, sweep or chain."""
    if space.levels != 2:
        found = "real numbers" if space.levels is None else f"{space.levels} levels"
        raise ValueError(f"units are bits: a space of 2 levels is needed, not of {found} (digits-binary has 2)")
    if method not in METHODS:
        raise ValueError(f"method is one of {', '.join(METHODS)}, not {method!r}")
    if min(hidden, k, chains, sweeps) < 1:
        raise ValueError(f"hidden, k, chains and sweeps are at least 1, not {hidden}, {k}, {chains} and {sweeps}")
    of_size = EnumerableRBM if min(hidden, space.dim) <= ENUMERABLE else RBM
    return of_size(space, hidden=hidden, method=method, k=k, chains=chains, sweeps=sweeps)
