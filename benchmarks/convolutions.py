"""The gradient of the image encoder within a loop on a CPU, both ways: `python benchmarks/convolutions.py`.

As products of blocks, which the encoder uses there, and as XLA's convolutions, these outside of a loop too; 64 images
of 84 x 84 x 4, medians and ranges over repeats that take turns.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from unittest import mock

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from record import row, times, write

from romanesco.agent.encoders.image import Cnn
from romanesco.core import convolution
from romanesco.core.spaces import Box

COMMAND = "python benchmarks/convolutions.py"
IMAGES = 64


def learner(way: Callable, steps: int) -> Callable[[], object]:
    """Steps of gradient descent in one program, the convolutions made by `way`; one alone is not in a loop."""
    encoder = Cnn(Box((84, 84, 4), np.uint8, 0, 255), width=512, key=jax.random.key(0))
    images = jax.random.randint(jax.random.key(1), (IMAGES, 84, 84, 4), 0, 256).astype(jnp.uint8)
    arrays, rest = eqx.partition(encoder, eqx.is_array)

    def learn(arrays, images):
        loss = lambda arrays: (jax.vmap(eqx.combine(arrays, rest))(images) ** 2).mean()
        down = lambda arrays, _: (jax.tree.map(lambda a, g: a - 1e-3 * g, arrays, jax.grad(loss)(arrays)), None)
        return down(arrays, None)[0] if steps == 1 else jax.lax.scan(down, arrays, length=steps)[0]

    with mock.patch.object(convolution, "blocks", way):
        program = jax.jit(learn).lower(arrays, images).compile()
    return lambda: jax.block_until_ready(program(arrays, images))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    jax.config.update("jax_platforms", "cpu")
    kinds = [(convolution.blocks, 2), (convolution.convolution, 2), (convolution.convolution, 1)]
    programs = [(learner(way, steps), steps) for way, steps in kinds]
    turns = [[1e3 * times(act, 1, warm=True)[1][0] / n for act, n in programs] for _ in range(repeats + 1)][1:]
    blocks, loop, alone = zip(*turns, strict=True)
    name = f"gradient of {IMAGES} images"
    write("convolutions", [
        row(name, COMMAND, "blocks, CPU ms", blocks),
        row(name, COMMAND, "convolutions, CPU ms", loop),
        row(name, COMMAND, "ratio", [b / a for a, b in zip(blocks, loop, strict=True)]),
        row(name, COMMAND, "convolutions outside of a loop, CPU ms", alone),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
