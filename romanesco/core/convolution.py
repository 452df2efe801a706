"""Convolutions without padding, as what is fast on the device at hand."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from romanesco.core.layers import project


def convolve(layer: eqx.nn.Conv2d, x: Float[Array, "H W C"]) -> Float[Array, "h w O"]:
    """The layer's kernels over an image whose channels are last, h = (H - side) // stride + 1.

    On a CPU it is one matrix product: there, within a loop, where agents learn, XLA takes more than ten times as long
    for the gradient of a convolution. What the kernels see is gathered anew for the gradient, not kept.
    """
    stride = layer.stride[0]
    ways = {"cpu": jax.checkpoint(blocks(stride)), "default": convolution(stride)}
    product = jax.lax.platform_dependent(x, layer.weight, **ways)
    return product if layer.bias is None else product + layer.bias[:, 0, 0]


def convolution(stride: int):
    def convolved(x, weight):
        axes = ("NHWC", "OIHW", "NHWC")
        return jax.lax.conv_general_dilated(x[None], weight, (stride, stride), "VALID", dimension_numbers=axes)[0]

    return convolved


def blocks(stride: int):
    """The same: `stride` x `stride` cells are one block, whose numbers are its channels, so that kernels move by 1."""

    def convolved(x, weight):
        out, channels, side, _ = weight.shape
        h, w = ((n - side) // stride + 1 for n in x.shape[:2])
        reach = -(-side // stride)  # blocks that a kernel sees along a side
        tall, wide = h + reach - 1, w + reach - 1
        x = x[: tall * stride, : wide * stride]
        x = jnp.pad(x, ((0, tall * stride - x.shape[0]), (0, wide * stride - x.shape[1]), (0, 0)))
        x = x.reshape(tall, stride, wide, stride, channels).swapaxes(1, 2).reshape(tall, wide, -1)
        seen = jnp.concatenate([x[i : i + h, j : j + w] for i in range(reach) for j in range(reach)], -1)
        rest = reach * stride - side
        weight = jnp.pad(weight, ((0, 0), (0, 0), (0, rest), (0, rest)))
        weight = weight.reshape(out, channels, reach, stride, reach, stride).transpose(0, 2, 4, 3, 5, 1)
        return project(seen, weight.reshape(out, -1))

    return convolved
