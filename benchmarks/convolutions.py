"""The gradient of the image encoder within a loop on a CPU, both ways: `python benchmarks/convolutions.py`.

As products of blocks, which the encoder uses there, and as XLA's convolutions; 64 images of 84 x 84 x 4, medians and
ranges over repeats that take turns.
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


def learner(way: Callable) -> Callable[[], object]:
    """Two steps of gradient descent in one program, the convolutions made by `way`."""
    encoder = Cnn(Box((84, 84, 4), np.uint8, 0, 255), width=512, key=jax.random.key(0))
    images = jax.random.randint(jax.random.key(1), (IMAGES, 84, 84, 4), 0, 256).astype(jnp.uint8)
    arrays, rest = eqx.partition(encoder, eqx.is_array)

    def learn(arrays, images):
        loss = lambda arrays: (jax.vmap(eqx.combine(arrays, rest))(images) ** 2).mean()
        down = lambda arrays, _: (jax.tree.map(lambda a, g: a - 1e-3 * g, arrays, jax.grad(loss)(arrays)), None)
        return jax.lax.scan(down, arrays, length=2)[0]

    with mock.patch.object(convolution, "blocks", way):
        program = jax.jit(learn).lower(arrays, images).compile()
    return lambda: jax.block_until_ready(program(arrays, images))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    ways = [learner(way) for way in (convolution.blocks, convolution.convolution)]
    pairs = [[1e3 * times(way, 1, warm=True)[1][0] / 2 for way in ways] for _ in range(repeats + 1)][1:]
    ours, theirs = zip(*pairs, strict=True)
    name = f"gradient of {IMAGES} images"
    write("convolutions", [
        row(name, COMMAND, "blocks, CPU ms", ours),
        row(name, COMMAND, "convolutions, CPU ms", theirs),
        row(name, COMMAND, "ratio", [b / a for a, b in pairs]),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
