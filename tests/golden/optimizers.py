"""Writes optimizers.json: a wide matrix, a tall one and a vector after 1, 10 and 100 steps of
optimizers that others have written, or of their papers' rules in double precision.

.venv-peers/bin/python tests/golden/optimizers.py
"""

import json
import math
import pathlib

import torch
from transformers.optimization import Adafactor

SHAPES = {"matrix": (5, 7), "tall": (7, 4), "vector": (6,)}
DECAY = {"matrix": 0.1, "tall": 0.1, "vector": 0.0}
KEPT = (1, 10, 100)


def start(shape):
    count = math.prod(shape)
    return torch.tensor([math.cos(0.9 * i) for i in range(count)]).reshape(shape)


def gradient(shape, step):
    count = math.prod(shape)
    size = 10.0 ** (step % 4 - 3)
    return torch.tensor([size * math.sin(1.3 * step + 0.7 * i) for i in range(count)]).reshape(
        shape
    )


def rate(step):
    return 1e-2 * (1 - step / 200)


class ByRule:
    """An optimizer of a rule in double: rule(value, gradient, state, rate, decay, step) -> value."""

    def __init__(self, rule):
        self.rule = rule

    def __call__(self, groups):
        self.groups = groups
        self.param_groups = groups
        self.state = [{} for _ in groups]
        self.steps = 0
        return self

    def step(self):
        self.steps += 1
        for group, state in zip(self.groups, self.state):
            (value,) = group["params"]
            moved = self.rule(
                value.detach().double(),
                value.grad.double(),
                state,
                group["lr"],
                group["weight_decay"],
                self.steps,
            )
            value.data.copy_(moved)


def lion(value, g, state, lr, decay, step, beta1=0.8, beta2=0.95):
    m = state.get("m", torch.zeros_like(g))
    direction = torch.sign(beta1 * m + (1 - beta1) * g)
    state["m"] = beta2 * m + (1 - beta2) * g
    return value - lr * (direction + decay * value)


def lamb(value, g, state, lr, decay, step, beta1=0.9, beta2=0.999, eps=1e-6):
    m = state["m"] = beta1 * state.get("m", torch.zeros_like(g)) + (1 - beta1) * g
    v = state["v"] = beta2 * state.get("v", torch.zeros_like(g)) + (1 - beta2) * g * g
    u = m / (1 - beta1**step) / (torch.sqrt(v / (1 - beta2**step)) + eps) + decay * value
    return value - lr * value.norm() / u.norm() * u


def muon(value, g, state, lr, decay, step, momentum=0.95, betas=(0.9, 0.999), eps=1e-8):
    """Keller Jordan's, with the step size of Liu et al.; vectors by AdamW."""
    value = value * (1 - lr * decay)
    if value.dim() == 1:
        m = state["m"] = betas[0] * state.get("m", torch.zeros_like(g)) + (1 - betas[0]) * g
        v = state["v"] = betas[1] * state.get("v", torch.zeros_like(g)) + (1 - betas[1]) * g * g
        m, v = m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)
        return value - lr * m / (torch.sqrt(v) + eps)
    m = state["m"] = momentum * state.get("m", torch.zeros_like(g)) + (1 - momentum) * g
    x = momentum * m + (1 - momentum) * g
    x = x / x.norm()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return value - lr * 0.2 * math.sqrt(max(value.shape)) * x


CASES = [
    ("sgd", {}, lambda p: torch.optim.SGD(p, lr=1)),
    ("sgd", {"momentum": 0.9}, lambda p: torch.optim.SGD(p, lr=1, momentum=0.9)),
    (
        "sgd",
        {"momentum": 0.8, "nesterov": True},
        lambda p: torch.optim.SGD(p, lr=1, momentum=0.8, nesterov=True),
    ),
    ("adam", {}, lambda p: torch.optim.Adam(p, lr=1)),
    (
        "adafactor",
        {},
        lambda p: Adafactor(p, lr=1, scale_parameter=False, relative_step=False),
    ),
    (
        "adafactor",
        {"beta1": 0.9, "scale_parameter": True, "decay_rate": -0.6, "clip_threshold": 0.7},
        lambda p: Adafactor(
            p,
            lr=1,
            scale_parameter=True,
            relative_step=False,
            beta1=0.9,
            decay_rate=-0.6,
            clip_threshold=0.7,
        ),
    ),
    (
        "adafactor",
        {"scale_parameter": True, "relative_step": True},
        lambda p: Adafactor(p, scale_parameter=True, relative_step=True),
    ),
    (
        "adafactor",
        {"beta1": 0.9, "relative_step": True, "warmup_init": True},
        lambda p: Adafactor(
            p, scale_parameter=False, relative_step=True, warmup_init=True, beta1=0.9
        ),
    ),
    ("adamw", {}, lambda p: torch.optim.AdamW(p, lr=1)),
    ("lion", {"beta1": 0.8, "beta2": 0.95}, ByRule(lion)),
    ("lamb", {}, ByRule(lamb)),
    ("muon", {}, ByRule(muon)),
]


def run(name, options, make):
    values = {key: torch.nn.Parameter(start(shape)) for key, shape in SHAPES.items()}
    optimizer = make(
        [{"params": [value], "weight_decay": DECAY[key]} for key, value in values.items()]
    )
    kept = {}
    for step in range(1, KEPT[-1] + 1):
        for key, value in values.items():
            value.grad = gradient(SHAPES[key], step)
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        optimizer.step()
        if step in KEPT:
            kept[step] = {key: value.flatten().tolist() for key, value in values.items()}
    return {"name": name, "options": options, "after": kept}


def main():
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps([run(*case) for case in CASES]) + "\n")


if __name__ == "__main__":
    main()
