"""The convolutional encoder of Atari agents."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, Shaped

from romanesco.core.convolution import convolve
from romanesco.core.errors import BadInput
from romanesco.core.layers import dense, orthogonal
from romanesco.core.spaces import Box, Space, describe

KERNELS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))  # channels, side, stride
LEAST = 36  # the smallest image side that all three fit into


def _channels_last(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and (shape[-1] <= shape[0] or shape[0] >= LEAST)


def planes(image: Shaped[Array, "..."]) -> Shaped[Array, "H W C"]:
    """An image or a stack of them with all channels last."""
    if image.ndim == 4:
        k, h, w, c = image.shape
        return jnp.transpose(image, (1, 2, 0, 3)).reshape(h, w, k * c)
    return image if _channels_last(image.shape) else jnp.transpose(image, (1, 2, 0))


class Cnn(eqx.Module):
    """Three convolutions 32x8/4, 64x4/2, 64x3/1, VALID, relu, then a dense layer (Mnih et al., 2015).

    Reads images [h w c] and [c h w] (the axis shorter than 36 holds the channels) and stacks [k h w c], whose first
    axis joins the channels. Bytes are divided by 255, unless `scale` is false.
    """

    kernels: tuple[eqx.nn.Conv2d, ...]
    layer: eqx.nn.Linear
    largest: int = eqx.field(static=True)  # what a pixel is divided by

    def __init__(self, space: Space, *, width: int = 128, scale: bool = True, key: Key[Array, ""]):
        if not isinstance(space, Box) or len(space.shape) not in (3, 4):
            raise BadInput(f"encoder=cnn reads images, not {describe(space)}; use encoder=linear or mlp")
        self.largest = 255 if scale and space.dtype == np.uint8 else 1
        h, w, c = jax.eval_shape(planes, jax.ShapeDtypeStruct(space.shape, space.dtype)).shape
        if min(h, w) < LEAST:
            raise BadInput(
                f"encoder=cnn: image {space.shape} is smaller than {LEAST} x {LEAST}; use encoder=linear or mlp"
            )
        keys = jax.random.split(key, len(KERNELS) + 1)
        kernels = []
        for (out, side, stride), k in zip(KERNELS, keys, strict=False):
            kernels.append(eqx.nn.Conv2d(c, out, side, stride, key=k))
            c, h, w = out, (h - side) // stride + 1, (w - side) // stride + 1
        self.kernels = tuple(kernels)
        self.layer = orthogonal(c * h * w, width, key=keys[-1])

    def __call__(self, obs: Array) -> Float[Array, "D"]:
        x = planes(obs).astype(jnp.float32) / self.largest
        for kernel in self.kernels:
            x = jax.nn.relu(convolve(kernel, x))
        return jax.nn.relu(dense(self.layer, jnp.transpose(x, (2, 0, 1)).ravel()))
