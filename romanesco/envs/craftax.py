"""Craftax (Matthews et al., 2024), entered below its autoreset: survival and crafting in generated worlds."""

from __future__ import annotations

import functools
import importlib.util
import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree, UInt8

from romanesco.core import spaces
from romanesco.core.errors import BadInput
from romanesco.envs import headless
from romanesco.envs.episodes import Dynamics, Episodes

VARIANTS = {  # the library's name, and its limit
    "symbolic": ("Craftax-Symbolic-v1", 100_000),
    "classic": ("Craftax-Classic-Symbolic-v1", 10_000),
    "pixels": ("Craftax-Pixels-v1", 100_000),
    "classic_pixels": ("Craftax-Classic-Pixels-v1", 10_000),
}
NEVER = 2**31 - 1  # the library's own limit, lifted: the clock is ours
TILE = 16  # pixels of a cell in pictures


class Craftax(Dynamics):
    """One of the four variants, with the library's default parameters."""

    world: Any = eqx.field(static=True)
    classic: bool = eqx.field(static=True)
    observation_space: spaces.Space = eqx.field(static=True, kw_only=True)
    action_space: spaces.Space = eqx.field(static=True, kw_only=True)

    def _params(self) -> Any:
        return self.world.default_params.replace(max_timesteps=NEVER)

    def init(self, key: Key[Array, ""]) -> PyTree:
        return self.world.reset_env(key, self._params())[1]

    def transition(self, key: Key[Array, ""], s: PyTree, action: Array) -> tuple[PyTree, Any, Any, Any]:
        _, s, reward, over, _ = self.world.step_env(key, s, action, self._params())
        return s, reward, over, False

    def observe(self, key: Key[Array, ""], s: PyTree) -> Float[Array, "..."]:
        return self.world.get_obs(s)

    def metrics(self, s: PyTree) -> dict[str, Any]:
        """`achievement/<name>`, 1 where it was reached in the episode, and `score`.

        The score is the percentage of the 226 points that all achievements give; of Classic it is the library's
        exp(mean ln(1 + 100 a)) - 1 over the achievements a of one episode.
        """
        names, points = _achievements(self.classic)
        told = {f"achievement/{name}": s.achievements[i] for name, i in names.items()}
        if self.classic:
            score = jnp.exp(jnp.mean(jnp.log1p(100.0 * s.achievements))) - 1
        else:
            score = 100 * (s.achievements * points).sum() / points.sum()
        return {**told, "score": score}

    def render(self, s: PyTree) -> UInt8[Array, "H W 3"]:
        """The first picture takes a minute, in which the library processes its textures."""
        return jnp.asarray(_painter(self.classic)(s), jnp.uint8)


def _modules(classic: bool, name: str) -> Any:
    return importlib.import_module(f"craftax.{'craftax_classic' if classic else 'craftax'}.{name}")


@functools.cache
def _achievements(classic: bool) -> tuple[dict[str, int], Any]:
    """-> achievements by name, and the points of each, by number."""
    constants = _modules(classic, "constants")
    names = {one.name.lower(): one.value for one in constants.Achievement}
    points = np.ones(len(names)) if classic else np.asarray(constants.ACHIEVEMENT_REWARD_MAP)
    return names, points


@functools.cache
def _painter(classic: bool) -> Any:
    return _modules(classic, "renderer").make_craftax_pixel_renderer(TILE)


@functools.cache
def _world(name: str) -> Any:
    """One object a name: it is static, and another object would be another program."""
    if importlib.util.find_spec("craftax") is None:
        raise BadInput('env=craftax needs the library; pip install -e ".[craftax]"')
    headless.no_window()
    from craftax.craftax_env import make_craftax_env_from_name

    return make_craftax_env_from_name(name, auto_reset=False)


def craftax(*, variant: str = "symbolic", max_steps: int | None = None) -> Episodes:
    """Craftax or Craftax Classic, as numbers or as pixels; terminated is the library's `is_terminal`."""
    name, limit = VARIANTS[variant]
    world = _world(name)
    box = world.observation_space(world.default_params)
    low, high = (np.float32(x) if math.isfinite(x) else np.float32(np.sign(x) * np.inf) for x in (box.low, box.high))
    dynamics = Craftax(
        world, variant.startswith("classic"), observation_space=spaces.Box(box.shape, np.float32, low, high),
        action_space=spaces.Discrete(world.num_actions),
    )  # fmt: skip
    return Episodes(dynamics, max_steps or limit, lazy_width=1)
