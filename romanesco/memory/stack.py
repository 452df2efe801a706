"""A stack of cells with feed-forward blocks between them: pre-norm, gated."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from romanesco.core.errors import BadInput, among
from romanesco.core.layers import ACTIVATIONS, Norm, dense, lecun, orthogonal, project

INITS: dict[str, Callable] = {"orthogonal": orthogonal, "lecun": lecun}


@dataclass(frozen=True)
class Stacked:
    """How a cell is stacked unless the caller says otherwise; a cell whose `stacked` is None stands alone."""

    gate: str = "residual"  # how a branch joins the stream: of GATES
    act: str = "none"  # on each branch, before its gate: of ACTIVATIONS
    ffn: int | None = None  # hidden width of the feed-forward blocks; None: `ffn_times` the size
    ffn_times: int = 2
    ffn_act: str = "gelu"
    init: str = "lecun"  # of the feed-forward blocks and gates: of INITS
    last_norm: bool = True  # whether a LayerNorm closes the stack
    own_norm: bool = False  # whether the cell normalizes what it reads, so that its layer must not


class Residual(eqx.Module):
    """x + y."""

    def __init__(self, size: int, *, init: Callable, key: Key[Array, ""]):
        del size, init, key

    def __call__(self, x: Float[Array, "*n D"], y: Float[Array, "*n D"]) -> Float[Array, "*n D"]:
        return x + y


class GRUGate(eqx.Module):
    """A GRU between stream x and branch y (GTrXL; Parisotto et al., 2020). A bias of 2 lets x pass at first."""

    branch: Float[Array, "rzg D"]  # y -> parts of r, z, g
    stream: Float[Array, "rz D"]  # x -> parts of r, z
    reset: Float[Array, "D D"]  # r x -> part of g
    bias: Float[Array, "D"]

    def __init__(self, size: int, *, init: Callable, key: Key[Array, ""]):
        wr, wz, wg, ur, uz, ug = (init(size, size, bias=False, key=k).weight for k in jax.random.split(key, 6))
        self.branch, self.stream, self.reset = jnp.concatenate([wr, wz, wg]), jnp.concatenate([ur, uz]), ug
        self.bias = jnp.full(size, 2.0)

    def __call__(self, x: Float[Array, "*n D"], y: Float[Array, "*n D"]) -> Float[Array, "*n D"]:
        yr, yz, yg = jnp.split(project(y, self.branch), 3, -1)
        xr, xz = jnp.split(project(x, self.stream), 2, -1)
        z = jax.nn.sigmoid(yz + xz - self.bias)
        g = jnp.tanh(yg + project(jax.nn.sigmoid(yr + xr) * x, self.reset))
        return (1 - z) * x + z * g


GATES: dict[str, type] = {"residual": Residual, "gru": GRUGate}


class Layer(eqx.Module):
    """h = gate(e, act(cell(LN e))); y = gate(h, act(W2 f(W1 LN h))). The first LN may be the cell's own."""

    cell: Any
    norm: Norm | None
    gate: Callable
    up: eqx.nn.Linear
    down: eqx.nn.Linear
    ffn_norm: Norm
    ffn_gate: Callable
    act: str = eqx.field(static=True)
    ffn_act: str = eqx.field(static=True)

    def __init__(self, cell: Any, size: int, style: Stacked, *, key: Key[Array, ""]):
        k_gate, k_up, k_down, k_ffn_gate = jax.random.split(key, 4)
        gate, init, hidden = GATES[style.gate], INITS[style.init], style.ffn or style.ffn_times * size
        self.cell, self.act, self.ffn_act = cell, style.act, style.ffn_act
        self.norm, self.ffn_norm = None if style.own_norm else Norm(size), Norm(size)
        self.gate, self.ffn_gate = gate(size, init=init, key=k_gate), gate(size, init=init, key=k_ffn_gate)
        self.up, self.down = init(size, hidden, key=k_up), init(hidden, size, key=k_down)

    def __call__(self, remember: Callable, carry, e: Float[Array, "*n D"], first: Bool[Array, "*n"]):
        """`remember` is the cell's `step`, its `sequence` or its `explain`; what that says besides comes last."""
        act = ACTIVATIONS[self.act]
        carry, y, *maps = remember(carry, e if self.norm is None else self.norm(e), first)
        h = self.gate(e, act(y))
        hidden = ACTIVATIONS[self.ffn_act](dense(self.up, self.ffn_norm(h)))
        return carry, self.ffn_gate(h, act(dense(self.down, hidden))), *maps


class Stack(eqx.Module):
    """Layers of one kind of cell, itself a Memory; the carry is the tuple of the layers' carries.

    `sequence` runs layer by layer, so that every dense layer is one matmul over all time steps.
    """

    layers: tuple[Layer, ...]
    norm: Norm | None

    @classmethod
    def of(
        cls,
        cell_class: Callable[..., Any],
        *,
        layers: int = 4,
        size: int = 128,
        gate: str | None = None,
        act: str | None = None,
        ffn: int | None = None,
        ffn_act: str | None = None,
        init: str | None = None,
        last_norm: bool | None = None,
        key: Key[Array, ""],
        **cell_settings: Any,
    ) -> "Stack":
        """`layers` cells of `size`, each built with `cell_settings`. What is None comes from `cell_class.stacked`."""
        asked = {"gate": gate, "act": act, "ffn": ffn, "ffn_act": ffn_act, "init": init, "last_norm": last_norm}
        style = _style(cell_class, {name: value for name, value in asked.items() if value is not None})
        if layers < 1:
            raise BadInput(f"layers={layers}: at least 1 is needed")

        def layer(key):
            k_cell, k_layer = jax.random.split(key)
            return Layer(cell_class(size, key=k_cell, **cell_settings), size, style, key=k_layer)

        built = tuple(map(layer, jax.random.split(key, layers)))
        if (width := built[0].cell.size_out) != size:
            raise BadInput(f"a stacked cell must keep its width: size={size}, the cell gives {width}")
        return cls(built, Norm(size) if style.last_norm else None)

    @property
    def size_out(self) -> int:
        return self.layers[0].cell.size_out

    def init_carry(self) -> tuple:
        return tuple(layer.cell.init_carry() for layer in self.layers)

    def step(self, carry, x: Float[Array, "D"], first: Bool[Array, ""]):
        return self._run([layer.cell.step for layer in self.layers], carry, x, first)[:2]

    def sequence(self, carry, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        return self._run([layer.cell.sequence for layer in self.layers], carry, xs, first)[:2]

    def explain(self, carry, xs: Float[Array, "T D"], first: Bool[Array, "T"]):
        """What `sequence` returns, and what its cells' `explain` shows, stacked over layers: `attention` or `signed`
        [L H T T] and more; nothing, where cells have none."""
        ways = [getattr(layer.cell, "explain", layer.cell.sequence) for layer in self.layers]
        carry, ys, maps = self._run(ways, carry, xs, first)
        return carry, ys, jax.tree.map(lambda *layers: jnp.stack(layers), *maps) if maps else {}

    def _run(self, ways, carry, x, first):
        after, shown = [], []
        for layer, remember, before in zip(self.layers, ways, carry, strict=True):
            kept, x, *maps = layer(remember, before, x, first)
            after, shown = [*after, kept], [*shown, *maps]
        return tuple(after), x if self.norm is None else self.norm(x), shown


def _style(cell_class: Any, asked: dict[str, Any]) -> Stacked:
    style = Stacked(**{**vars(cell_class.stacked or Stacked()), **asked})
    for field, options in {"gate": GATES, "act": ACTIVATIONS, "ffn_act": ACTIVATIONS, "init": INITS}.items():
        name = getattr(style, field)
        if name not in options:
            raise BadInput(f"{field} `{name}`{among(name, options)}")
    if style.ffn is not None and style.ffn < 1:
        raise BadInput(f"ffn={style.ffn}: at least 1 is needed")
    return style
