"""What bitsandbytes makes of weights in 4 bits (NF4) on the CPU: packed values, scales, scales rounded to 8 bits, and the numbers that they stand for.

    python tests/golden/nf4.py tests/golden/nf4.safetensors

Needs bitsandbytes, in an environment of its own, and one thread: the mean of many scales depends on their number. Sizes are with and without a rest
after blocks of 64, with an odd rest, and with more than 256 blocks. Weights are bf16's, widened.
"""

import sys

import torch
from bitsandbytes import functional
from safetensors.torch import save_file

SHAPES = [(5, 24), (8, 64), (3, 101), (160, 130)]


def main():
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(4)
    found = {}
    for place, shape in enumerate(SHAPES):
        weight = torch.randn(shape, generator=generator)
        weight[0, :3] = torch.tensor([0.0, -7.0, 7.0])
        if place == 1:
            weight[2] = 0  # a block without a number
        weight = weight.bfloat16()
        found[f"{place}.weight"] = weight.clone()
        weight = weight.float()
        for nested in (False, True) if place < 3 else (True,):
            packed, state = functional.quantize_4bit(
                weight, quant_type="nf4", compress_statistics=nested
            )
            name = f"{place}.{'nested' if nested else 'plain'}"
            found[f"{name}.packed"] = packed.flatten().clone()
            found[f"{name}.absmax"] = state.absmax.clone()
            found[f"{name}.values"] = functional.dequantize_4bit(packed, state).contiguous()
            if nested:
                found[f"{name}.offset"] = state.offset.reshape(1).clone()
                found[f"{name}.absmax2"] = state.state2.absmax.clone()
                found["code2"] = state.state2.code.clone()
    save_file(found, sys.argv[1])


if __name__ == "__main__":
    main()
