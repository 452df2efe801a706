"""Records what the public AGaLiTe code computes, in README.md's files: `python tests/parity/record.py CHECKOUT`.

CHECKOUT is a clone of github.com/subho406/agalite at 101acbe; the Python must have jax and flax, not romanesco. Every
parameter is drawn anew, biases and scales too: as published, biases are 0, and a gate lets a tenth of its cell pass.
"""

import functools
import sys
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

HERE = Path(__file__).resolve().parent
CALLS = (1, 7, 256)  # steps of successive calls, each from the memory that the last one left
SIZE_IN, SIZE, HEADS, HEAD_SIZE = 5, 6, 2, 8
ETA, NU, FFN, LAYERS = 4, 2, 7, 2


def drawn(shapes):
    """Parameters: kernels of gain sqrt 2, all else of deviation 1/4, scales around 1."""
    rng = np.random.default_rng(10)

    def leaf(path, x):
        name = path[-1].key
        deviation = np.sqrt(2 / x.shape[-2]) if name == "kernel" else 0.25
        return jnp.asarray((name == "scale") + deviation * rng.standard_normal(x.shape), jnp.float32)

    return jax.tree_util.tree_map_with_path(leaf, shapes)


def flat(params):
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {"/".join(["params", *(part.key for part in path)]): np.asarray(x) for path, x in leaves}


def outputs(model, params, memory, xs, first, calls, double):
    """What successive calls return; computed in float64 where `double`, kept in float32."""
    with jax.enable_x64(double):
        params, memory, xs = jax.tree.map(
            lambda x: jnp.asarray(x, float) if x.dtype == jnp.float32 else x, (params, memory, xs)
        )
        apply, ys, start = jax.jit(model.apply), [], 0
        for steps in calls:
            part = slice(start, start + steps)
            y, memory = apply({"params": params}, xs[part], first[part], memory)
            ys.append(y)
            start += steps
        return np.concatenate(ys).astype(np.float32)


def record(name, variants, xs, *, calls=CALLS, double=()):
    """`variants`: to the name of an output the model, its first memory and the resets; they share parameters."""
    model, memory, first = next(iter(variants.values()))
    params = drawn(jax.eval_shape(model.init, jax.random.key(0), xs[:1], first[:1], memory)["params"])
    made = {
        f"outputs/{key}": outputs(model, params, memory, xs, first, calls, key in double)
        for key, (model, memory, first) in variants.items()
    }
    np.savez_compressed(HERE / f"{name}.npz", **flat(params), **made)
    print(name, *(f"{key} {y.shape} deviation {y.std():.2f}" for key, y in made.items()), sep="; ", flush=True)


def main(checkout):
    sys.path.insert(0, checkout)
    jax.tree_map = jax.tree.map  # which the public code calls and newer JAX has no more
    nn.GRUCell = functools.partial(nn.GRUCell, SIZE)  # older flax read the width from the state
    from src.models.agalite.agalite import AGaLiTe
    from src.models.agalite.galite import GaLiTe
    from src.models.gtrxl import GTrXL
    from src.models.rnn import GRUMultiLayer, LSTMMultiLayer

    rng, T = np.random.default_rng(0), sum(CALLS)
    xs = jnp.asarray(1.5 * rng.standard_normal((T, SIZE_IN)), jnp.float32)
    first = rng.random(T) < 0.03
    first[[0, 4, 8, 9]] = True, True, False, True
    first = jnp.asarray(first)
    once = jnp.zeros(T, bool).at[0].set(True)
    np.savez_compressed(HERE / "inputs.npz", inputs=xs, first=first)

    def agalite(r):
        model = AGaLiTe(LAYERS, SIZE, HEAD_SIZE, FFN, HEADS, ETA, r)
        return model, AGaLiTe.initialize_memory(LAYERS, HEADS, HEAD_SIZE, ETA, r), once if r > 3 else first

    record("agalite", {r: agalite(r) for r in (1, 2, 3, 4, 8)}, xs, double=(4, 8))

    kernel = {"name": "pp_relu", "nu": NU}
    galite = GaLiTe(LAYERS, SIZE, HEAD_SIZE, FFN, HEADS, kernel, update_rule="projected_sigmoid")
    memory = GaLiTe.initialize_memory(LAYERS, HEADS, HEAD_SIZE, kernel)
    record("galite", {NU: (galite, memory, first)}, xs, double=(NU,))

    def gtrxl(M):
        model = GTrXL(HEAD_SIZE, SIZE, HEADS, layer_num=LAYERS, memory_len=M)
        return model, GTrXL.initialize_state(M, SIZE, LAYERS), first

    record("gtrxl", {M: gtrxl(M) for M in (5, 40)}, xs, calls=(1,) * T)

    for name, layer in (("lstm", LSTMMultiLayer), ("gru", GRUMultiLayer)):
        record(name, {SIZE: (layer(SIZE, 1), layer.initialize_state(SIZE, 1), first)}, xs)


if __name__ == "__main__":
    main(sys.argv[1])
