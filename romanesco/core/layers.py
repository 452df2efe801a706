"""Dense layers as this house uses Equinox: weights in `nn.Linear`, applied to any leading axes at once."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

ACTIVATIONS: dict[str, Callable] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "none": lambda x: x,
}


def project(x: Float[Array, "*n I"], weight: Float[Array, "O I"]) -> Float[Array, "*n O"]:
    """x W^T. Where JAX's matmul precision is "bfloat16", its operands are rounded to bfloat16, whatever the device, and
    products summed in float32 (Micikevicius et al., 2018); a gradient is a product of rounded operands too."""
    if jax.config.jax_default_matmul_precision != "bfloat16":  # type: ignore[attr-defined]
        return x @ weight.T
    x, weight = x.astype(jnp.bfloat16), weight.astype(jnp.bfloat16)
    return jnp.matmul(x, weight.T, preferred_element_type=jnp.float32)


def dense(linear: eqx.nn.Linear, x: Float[Array, "*n I"]) -> Float[Array, "*n O"]:
    """x W^T + b on the last axis: on time-major inputs one GEMM without transposes."""
    y = project(x, linear.weight)
    return y if linear.bias is None else y + linear.bias


def orthogonal(size_in: int, size_out: int, *, gain: float = 2**0.5, bias: bool = True, key: Key[Array, ""]):
    """A linear layer with orthogonal weights of the given gain and zero bias (Saxe et al., 2014)."""
    layer = eqx.nn.Linear(size_in, size_out, use_bias=bias, key=key)
    weight = jax.nn.initializers.orthogonal(gain)(key, (size_out, size_in))
    layer = eqx.tree_at(lambda m: m.weight, layer, weight)
    return eqx.tree_at(lambda m: m.bias, layer, jnp.zeros(size_out)) if bias else layer


def lecun(size_in: int, size_out: int, *, bias: bool = True, key: Key[Array, ""]):
    """A linear layer with normal weights of variance 1 / size_in and zero bias (LeCun et al., 1998)."""
    layer = eqx.nn.Linear(size_in, size_out, use_bias=bias, key=key)
    weight = jax.nn.initializers.lecun_normal(in_axis=-1, out_axis=-2)(key, (size_out, size_in))
    layer = eqx.tree_at(lambda m: m.weight, layer, weight)
    return eqx.tree_at(lambda m: m.bias, layer, jnp.zeros(size_out)) if bias else layer


def widen(x: Array) -> Array:
    """`x` in at least float32: what memories keep, gate and scan, also where matmuls run in bfloat16."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def rms_norm(x: Float[Array, "*n D"], scale: Float[Array, "D"]) -> Float[Array, "*n D"]:
    """x over the root of the mean of its squares on the last axis, times `scale` (Zhang & Sennrich, 2019)."""
    return x * jax.lax.rsqrt((x**2).mean(-1, keepdims=True) + 1e-6) * scale


class Norm(eqx.Module):
    """Layer normalization of the last axis with scale and shift (Ba et al., 2016), in at least float32."""

    scale: Float[Array, "D"]
    shift: Float[Array, "D"]

    def __init__(self, size: int):
        self.scale, self.shift = jnp.ones(size), jnp.zeros(size)

    def __call__(self, x: Float[Array, "*n D"]) -> Float[Array, "*n D"]:
        wide = widen(x)
        centered = wide - wide.mean(-1, keepdims=True)
        normed = centered * jax.lax.rsqrt((centered**2).mean(-1, keepdims=True) + 1e-6)
        return normed.astype(x.dtype) * self.scale + self.shift


class MLP(eqx.Module):
    """Dense layers with an activation after each; with `out`, one more linear layer of its own gain after them."""

    layers: tuple[eqx.nn.Linear, ...]
    act: str = eqx.field(static=True)
    out: eqx.nn.Linear | None

    def __init__(
        self,
        size: int,
        hidden: Sequence[int],
        *,
        act: str = "tanh",
        out: int | None = None,
        gain: float = 1.0,
        key: Key[Array, ""],
    ):
        sizes = [size, *hidden]
        keys = jax.random.split(key, len(sizes))
        self.layers = tuple(orthogonal(a, b, key=k) for a, b, k in zip(sizes, sizes[1:], keys, strict=False))
        self.act = act
        self.out = None if out is None else orthogonal(sizes[-1], out, gain=gain, key=keys[-1])

    def __call__(self, x: Float[Array, "*n I"]) -> Float[Array, "*n O"]:
        for layer in self.layers:
            x = ACTIVATIONS[self.act](dense(layer, x))
        return x if self.out is None else dense(self.out, x)
