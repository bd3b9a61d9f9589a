"""Writes adamw.json: ten steps of torch.optim.AdamW from given values and gradients.

.venv/bin/python tests/golden/adamw.py
"""

import json
import pathlib

import torch

COUNT, STEPS = 37, 10
CASES = [
    {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01},
    {"lr": 5e-2, "beta1": 0.8, "beta2": 0.95, "eps": 1e-6, "weight_decay": 0.0},
    {"lr": 2e-5, "beta1": 0.9, "beta2": 0.98, "eps": 1e-8, "weight_decay": 0.3},
]


def run(case, generator):
    value = torch.nn.Parameter(torch.randn(COUNT, generator=generator))
    rate = case["lr"]
    optimizer = torch.optim.AdamW(
        [value],
        lr=rate,
        betas=(case["beta1"], case["beta2"]),
        eps=case["eps"],
        weight_decay=case["weight_decay"],
        foreach=False,
    )
    result = {"options": case, "start": value.tolist(), "steps": []}
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = rate * (1 - step / (2 * STEPS))
        value.grad = torch.randn(COUNT, generator=generator) * 10 ** (step % 4 - 3)
        gradient = value.grad.tolist()
        optimizer.step()
        result["steps"].append(
            {"lr": optimizer.param_groups[0]["lr"], "gradient": gradient, "value": value.tolist()}
        )
    state = optimizer.state[value]
    result |= {"exp_avg": state["exp_avg"].tolist(), "exp_avg_sq": state["exp_avg_sq"].tolist()}
    return result


def main():
    generator = torch.Generator().manual_seed(1)
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(
        json.dumps(
            {
                "torch": torch.__version__.split("+")[0],
                "cases": [run(case, generator) for case in CASES],
            }
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
