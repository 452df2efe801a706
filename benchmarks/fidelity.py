"""How well AGaLiTe's channels stand for GaLiTe's matrix state: `python benchmarks/fidelity.py`.

The cosine between all read-outs of the one, as one vector, and those of the other with the same weights, for each draw
of weights and inputs: 4 heads of 64, eta 4, 256 steps of 128 normal numbers, from an empty state. Inputs are white
noise, or x_t = 0.9 x_{t-1} + sqrt(0.19) n_t; or noise with biases of the gates such that their means are 0.05
(of values) and 0.005 (of keys), which is long memory.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from record import row, write
from scipy.optimize import brentq
from scipy.special import expit

from romanesco.memory import AGaLiTe, GaLiTe

COMMAND = "python benchmarks/fidelity.py"
SIZE, HEADS, WIDTH, ETA, STEPS = 128, 4, 64, 4, 256
BASES = [*(("quadrature", channels) for channels in (1, 3, 5, 9, 17, 33)), ("reference", 2), ("reference", 16)]
REGIMES = ("independent inputs", "inputs of AR(0.9)", "slow gates")
VALUE_GATE, KEY_GATE = 0.05, 0.005  # means of the slow gates


def inputs(regime: str, key: jax.Array) -> jax.Array:
    """[T D]"""
    noise = jax.random.normal(key, (STEPS, SIZE))
    if regime != "inputs of AR(0.9)":
        return noise
    one = lambda x, n: (0.9 * x + np.sqrt(0.19) * n,) * 2
    return jax.lax.scan(one, noise[0], noise)[1]


def slowed(cell: Any, xs: jax.Array) -> Any:
    """The cell with biases of its gates such that they have the wanted means on `xs`."""

    def bias(logits: np.ndarray, mean: float) -> float:
        return brentq(lambda b: expit(logits + b).mean() - mean, -30, 10)  # type: ignore[return-value]

    wide = np.asarray(xs @ cell.enter.weight.T).reshape(STEPS, HEADS, 5, WIDTH)
    low = np.asarray(xs @ cell.factor.weight.T).reshape(STEPS, HEADS, 3, ETA)
    root = KEY_GATE**0.5  # a gate of keys is a product of two
    of_wide = jnp.zeros((HEADS, 5, WIDTH)).at[:, 3].set(bias(wide[:, :, 3], VALUE_GATE))
    of_wide = of_wide.at[:, 4].set(bias(wide[:, :, 4], root))
    of_low = jnp.zeros((HEADS, 3, ETA)).at[:, 2].set(bias(low[:, :, 2], root))
    return eqx.tree_at(lambda c: (c.enter.bias, c.factor.bias), cell, (of_wide.reshape(-1), of_low.reshape(-1)))


@eqx.filter_jit
def read_outs(cell: Any, xs: jax.Array) -> jax.Array:
    """[T H d]"""
    plain = eqx.tree_at(lambda c: c.leave.weight, cell, jnp.eye(HEADS * WIDTH))
    plain = eqx.tree_at(lambda c: c.leave.bias, plain, jnp.zeros(HEADS * WIDTH))
    return plain.sequence(plain.init_carry(), xs, jnp.zeros(STEPS, bool))[1].reshape(STEPS, HEADS, WIDTH)


def cosine(a: jax.Array, b: jax.Array) -> float:
    return float(jnp.vdot(a, b) / (jnp.linalg.norm(a) * jnp.linalg.norm(b)))


def measure(regime: str, draw: int) -> list[float]:
    """The cosine of each basis."""
    k_cell, k_x = jax.random.split(jax.random.key(draw))
    xs, sizes = inputs(regime, k_x), {"heads": HEADS, "head_size": WIDTH, "eta": ETA}

    def read(cell: Any) -> jax.Array:
        return read_outs(slowed(cell, xs) if regime == "slow gates" else cell, xs)

    want = read(GaLiTe(SIZE, key=k_cell, **sizes))
    return [cosine(read(AGaLiTe(SIZE, basis=b, channels=c, epsilon=1e-5, key=k_cell, **sizes)), want) for b, c in BASES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=3)
    draws = range(parser.parse_args().draws)
    warnings.simplefilter("ignore")  # of the rank of the published basis
    rows = []
    for regime in REGIMES:
        for (basis, channels), values in zip(
            BASES, zip(*(measure(regime, n) for n in draws), strict=True), strict=True
        ):
            metric = f"cosine, {regime}"
            rows.append(row(f"{basis}, {channels} channels", COMMAND, metric, values, len(draws)))
    write("fidelity", rows)


if __name__ == "__main__":
    main()
