"""Pytrees of arrays and typed keys as safetensors: one format for checkpoints and exports. JAX is imported on use."""

from typing import Any

import numpy as np
import safetensors
import safetensors.numpy


def pack(tree: Any) -> tuple[bytes, dict[str, dict]]:
    """A pytree of arrays and typed keys -> safetensors bytes, and {path: shape, dtype, key implementation}.

    Every leaf is laid out in C order first: safetensors writes strided and Fortran arrays wrong without a word.
    """
    import jax

    data, arrays = {}, {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        name = jax.tree_util.keystr(path)
        if not isinstance(leaf, (jax.Array, np.ndarray)):
            raise TypeError(f"state{name} is a {type(leaf).__name__}: only arrays and keys can be stored")
        key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        data[name] = x = np.asarray(jax.random.key_data(leaf) if key else leaf, order="C")
        arrays[name] = {"shape": list(x.shape), "dtype": x.dtype.name}
        arrays[name] |= {"key": str(jax.random.key_impl(leaf))} if key else {}
    return safetensors.numpy.save(data), arrays


def _wanted(leaf: Any) -> dict:
    """How `pack` would describe this leaf; abstract leaves (`ShapeDtypeStruct`) are as good."""
    import jax

    if not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return {"shape": list(leaf.shape), "dtype": np.dtype(leaf.dtype).name}
    data = jax.eval_shape(jax.random.key_data, leaf)
    impl = str(jax.random.key_impl(leaf)) if isinstance(leaf, jax.Array) else leaf.dtype._impl.name
    return {"shape": list(data.shape), "dtype": data.dtype.name, "key": impl}


def differences(arrays: dict[str, dict], like: Any) -> list[str]:
    """What keeps these arrays from filling the tree `like`, one sentence a path."""
    import jax

    def words(entry: dict) -> str:
        kind = f"key {entry['key']}" if "key" in entry else entry["dtype"]
        return f"{kind}[{','.join(map(str, entry['shape']))}]"

    want = {jax.tree_util.keystr(p): _wanted(x) for p, x in jax.tree_util.tree_leaves_with_path(like)}
    told = [f"{p}: {words(want[p])} is missing in the checkpoint" for p in want if p not in arrays]
    told += [f"{p}: {words(arrays[p])} is only in the checkpoint" for p in arrays if p not in want]
    both = [p for p in want if p in arrays and arrays[p] != want[p]]
    return told + [f"{p}: saved {words(arrays[p])}, asked for {words(want[p])}" for p in both]


def unpack(data: bytes, arrays: dict[str, dict], like: Any) -> Any:
    """The tree of `pack`, with the structure of `like`, in fresh buffers that may be donated.

    An array of `like` that is committed to a device gets its successor there; NumPy leaves come back as NumPy.
    """
    import jax
    import jax.numpy as jnp

    stored = dict(safetensors.deserialize(data))

    def fresh(path, leaf):
        name = jax.tree_util.keystr(path)
        raw = np.frombuffer(stored[name]["data"], np.dtype(arrays[name]["dtype"])).reshape(arrays[name]["shape"])
        if isinstance(leaf, np.ndarray):
            return raw.copy()
        x = jnp.array(raw, copy=True)
        x = jax.random.wrap_key_data(x, impl=arrays[name]["key"]) if "key" in arrays[name] else x
        return jax.device_put(x, leaf.sharding) if isinstance(leaf, jax.Array) and leaf.committed else x

    return jax.tree_util.tree_map_with_path(fresh, like)
