"""Classic control and the rest of gymnax, entered below gymnax's own autoreset and time limit (Lange, 2022)."""

import dataclasses
import functools
import importlib
import importlib.util
import math
import os
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree, UInt8

from romanesco.core import spaces
from romanesco.core.errors import BadInput, among, nearest
from romanesco.envs import headless
from romanesco.envs.episodes import Dynamics, Episodes
from romanesco.envs.randomize import Randomized, Ranges, check
from romanesco.envs.table import PARAMS, ROWS, VELOCITIES

Numbers = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Port:
    """How an environment of gymnax.environments.classic_control becomes one of our worlds."""

    id: str
    target: str  # module:class
    name: str  # ours
    features: tuple[str, ...]
    translate: Callable[[Numbers], Numbers] = lambda numbers: numbers  # ours -> gymnax's, derived ones included
    start: Callable[[Numbers, Any], Any] = lambda numbers, state: state  # the state in which gymnax starts -> ours
    mend: Callable[[Any, Any], Any] = lambda params, state: state  # gymnax's next state -> Gymnasium's


class Classic(Dynamics):
    """Classic control. Its physical numbers are float32 leaves; derived ones are computed from them at every step."""

    numbers: dict[str, Float[Array, ""]]
    port: Port = eqx.field(static=True)
    world: Any = eqx.field(static=True)
    observation_space: spaces.Space = eqx.field(static=True, kw_only=True)
    action_space: spaces.Space = eqx.field(static=True, kw_only=True)

    @property
    def params(self) -> dict[str, spaces.Param]:
        return PARAMS.get(self.port.name, {})

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.port.features

    @property
    def velocities(self) -> tuple[int, ...]:
        return VELOCITIES[self.port.name]

    def at(self, numbers: dict[str, Any]) -> "Classic":
        return dataclasses.replace(self, numbers={**self.numbers, **numbers})

    def init(self, key: Key[Array, ""]) -> PyTree:
        return self.port.start(self.numbers, self.world.reset_env(key, self._params())[1])

    def transition(self, key: Key[Array, ""], s: PyTree, action: Array) -> tuple[Any, Any, Any, Any]:
        params = self._params()
        # `step_env` ends an episode for natural reasons only: in gymnax 1.x the limit belongs to `step`
        _, s, reward, terminated, _ = self.world.step_env(key, s, action, params)
        return self.port.mend(params, s), reward, terminated, False

    def observe(self, key: Key[Array, ""], s: PyTree) -> Float[Array, "F"]:
        return self.world.get_obs(s, self._params())

    def render(self, s: PyTree) -> UInt8[Array, "H W 3"]:
        return _picture(self.port.id, dataclasses.asdict(s), self.numbers)

    def _params(self) -> Any:
        return self.world.default_params.replace(**self.port.translate(self.numbers))


class Held(eqx.Module):
    """gymnax's state and what it showed: some worlds (MemoryChain) show the state before the step."""

    state: PyTree
    obs: PyTree


class Gymnax(Dynamics):
    """Any environment of gymnax 1.x, with its default parameters."""

    world: Any = eqx.field(static=True)
    observation_space: spaces.Space = eqx.field(static=True, kw_only=True)
    action_space: spaces.Space = eqx.field(static=True, kw_only=True)

    def init(self, key: Key[Array, ""]) -> Held:
        obs, state = self.world.reset_env(key, self.world.default_params)
        return Held(state, obs)

    def transition(self, key: Key[Array, ""], s: Held, action: PyTree[Array]) -> tuple[Held, Any, Any, Any]:
        obs, state, reward, terminated, _ = self.world.step_env(key, s.state, action, self.world.default_params)
        return Held(state, obs), reward, terminated, False

    def observe(self, key: Key[Array, ""], s: Held) -> PyTree[Array]:
        return s.obs


def _without(numbers: Numbers, *names: str) -> dict[str, Any]:
    return {name: x for name, x in numbers.items() if name not in names}


def _cartpole_numbers(n: Numbers) -> Numbers:
    derived = {"total_mass": n["masscart"] + n["masspole"], "polemass_length": n["masspole"] * n["length"]}
    return _without(n, "init_spread") | derived


def _spread(names: tuple[str, ...], default: float, numbers: Numbers, state: Any) -> Any:
    return state.replace(**{name: getattr(state, name) * (numbers["init_spread"] / default) for name in names})


def _between(numbers: Numbers, state: Any) -> Any:
    low, high = numbers["init_low"], numbers["init_high"]
    return state.replace(position=low + (state.position + 0.6) / 0.2 * (high - low))


def _wall(params: Any, state: Any) -> Any:
    """Gymnasium stops the continuous car at the left wall; gymnax lets its velocity live on."""
    stopped = (state.position == params.min_position) & (state.velocity < 0)
    return state.replace(velocity=jnp.where(stopped, 0.0, state.velocity))


_CART, _ANGLES = ("x", "x_dot", "theta", "theta_dot"), ("joint_angle1", "joint_angle2", "velocity_1", "velocity_2")

PORTS = {
    port.name: port
    for port in (
        Port(
            "CartPole-v1",
            "cartpole:CartPole",
            "cartpole",
            ("cart_position", "cart_velocity", "pole_angle", "pole_velocity"),
            _cartpole_numbers,
            functools.partial(_spread, _CART, 0.05),
        ),
        Port(
            "Acrobot-v1",
            "acrobot:Acrobot",
            "acrobot",
            ("cos_1", "sin_1", "cos_2", "sin_2", "velocity_1", "velocity_2"),
            lambda n: _without(n, "init_spread"),
            functools.partial(_spread, _ANGLES, 0.1),
        ),
        Port(
            "MountainCar-v0",
            "mountain_car:MountainCar",
            "mountaincar",
            ("position", "velocity"),
            lambda n: _without(n, "init_low", "init_high"),
            _between,
        ),
        Port("Pendulum-v1", "pendulum:Pendulum", "pendulum", ("cos", "sin", "velocity")),
        Port(
            "MountainCarContinuous-v0",
            "continuous_mountain_car:ContinuousMountainCar",
            "mountaincar_continuous",
            ("position", "velocity"),
            mend=_wall,
        ),
    )
}


def cartpole(*, max_steps: int | None = 500, **settings: Any) -> Episodes:
    """CartPole-v1 (Barto, Sutton and Anderson, 1983); `settings` are those of `_classic`."""
    return _classic("cartpole", max_steps, **settings)


def acrobot(*, max_steps: int | None = 500, **settings: Any) -> Episodes:
    """Acrobot-v1 (Sutton, 1996); `settings` are those of `_classic`."""
    return _classic("acrobot", max_steps, **settings)


def mountaincar(*, max_steps: int | None = 200, **settings: Any) -> Episodes:
    """MountainCar-v0 (Moore, 1990); `settings` are those of `_classic`."""
    return _classic("mountaincar", max_steps, **settings)


def pendulum(*, max_steps: int | None = 200) -> Episodes:
    """Pendulum-v1; it never terminates."""
    return _classic("pendulum", max_steps)


def mountaincar_continuous(*, max_steps: int | None = 999) -> Episodes:
    """MountainCarContinuous-v0; the reward counts the action as given."""
    return _classic("mountaincar_continuous", max_steps)


def gymnax_env(id: str, *, max_steps: int | None = None) -> Episodes:
    """Any environment of gymnax by its id; `max_steps` defaults to gymnax's own limit."""
    import gymnax

    if jax.config.read("jax_enable_x64"):
        raise BadInput(f"gymnax:{id}: gymnax mixes 32 and 64 bits under JAX_ENABLE_X64; unset JAX_ENABLE_X64")
    if id == "MNISTBandit-bsuite":
        raise BadInput("gymnax:MNISTBandit-bsuite downloads its images, and nothing downloads at run time")
    if id not in gymnax.registered_envs:
        raise BadInput(f"unknown gymnax id `{id}`{nearest(id, gymnax.registered_envs)}")
    world = _library(id)
    limit = int(world.default_params.max_steps_in_episode) if max_steps is None else max_steps
    return Episodes(Gymnax(world, **_spaces(world, world.default_params)), limit)


def _classic(
    name: str, max_steps: int | None, *, randomize: Ranges | None = None, context: bool = False, **numbers: float
) -> Episodes:
    """Physical `numbers` by the names in `table.PARAMS`; those of `randomize`, {name: (low, high)}, are drawn for each
    episode, and seen beside the state with `context`."""
    randomize = randomize or {}
    params = PARAMS.get(name, {})
    for field, value in numbers.items():
        if field not in params:
            raise BadInput(f"{name} has no parameter `{field}`{among(field, params)}")
        if not math.isfinite(value):
            raise BadInput(f"{field}={value}: a finite number, {params[field].default} by default")
    check(randomize, params, context)
    numbers = {field: param.default for field, param in params.items()} | numbers
    port = PORTS[name]
    world = _classic_world(port.target)
    ends = [{**numbers, **{field: bounds[i] for field, bounds in randomize.items()}} for i in (0, 1)]
    low, high = (_spaces(world, world.default_params.replace(**port.translate(end))) for end in ends)
    seen = _both(low.pop("observation_space"), high["observation_space"])
    leaves = {field: jnp.asarray(x, jnp.float32) for field, x in numbers.items()}
    classic = Classic(leaves, port, world, observation_space=seen, **low)
    return Episodes(Randomized.of(classic, randomize, context=context), max_steps, ROWS[name].threshold)


def _both(one: Any, other: Any) -> spaces.Box:
    """The Box that holds two of one shape."""
    (low, high), (lower, higher) = one.bounds, other.bounds
    return spaces.Box(one.shape, one.dtype, np.minimum(low, lower), np.maximum(high, higher))


def _spaces(world: Any, params: Any) -> dict[str, spaces.Space]:
    """-> observation and action space of a gymnax environment, by name."""
    return {name: _space(getattr(world, name)(params)) for name in ("observation_space", "action_space")}


def _space(theirs: Any) -> spaces.Space:
    """gymnax's space -> ours; the largest finite float means no bound, as in Gymnasium."""
    match type(theirs).__name__:
        case "Discrete":
            return spaces.Discrete(int(theirs.n))
        case "Dict":
            return {name: _space(part) for name, part in theirs.spaces.items()}
        case "Tuple":
            return tuple(map(_space, theirs.spaces))
    dtype = np.dtype(theirs.dtype)
    low, high = (np.asarray(bound, dtype) for bound in (theirs.low, theirs.high))
    if dtype.kind == "f":
        low, high = (np.where(abs(b) >= np.finfo(dtype).max, np.copysign(np.inf, b), b) for b in (low, high))
    return spaces.Box(theirs.shape, dtype, low, high)


@functools.cache
def _library(id: str) -> Any:
    """One object per id: it is static, and another object would be another program."""
    import gymnax

    return gymnax.make(id)[0]


@functools.cache
def _classic_world(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(_classic_module(module), name)()


def _classic_module(name: str) -> types.ModuleType:
    """A module of `gymnax.environments.classic_control`, without running the `__init__`s above it.

    `import gymnax` takes 2 s and pulls in matplotlib and pandas. Where nobody has imported it, empty parents with the
    right `__path__` stand in, and the whole copy is taken out again: a later `import gymnax` is untouched.
    """
    package = "gymnax.environments.classic_control"
    spec = importlib.util.find_spec("gymnax")
    if "gymnax" in sys.modules or spec is None or not spec.submodule_search_locations:
        return importlib.import_module(f"{package}.{name}")
    root = spec.submodule_search_locations[0]
    for parent in ("gymnax", "gymnax.environments", package):
        sys.modules[parent] = types.ModuleType(parent)
        sys.modules[parent].__path__ = [os.path.join(root, *parent.split(".")[1:])]
    try:
        return importlib.import_module(f"{package}.{name}")
    finally:
        for loaded in [m for m in sys.modules if m.partition(".")[0] == "gymnax"]:
            del sys.modules[loaded]


@functools.cache
def _renderer(id: str) -> Any:
    if importlib.util.find_spec("pygame") is None:
        raise BadInput('render: pictures of classic control need pygame; pip install -e ".[render]"')
    headless.no_window()
    import gymnasium

    world = gymnasium.make(id, render_mode="rgb_array").unwrapped
    world.reset(seed=0)
    return world


def _picture(id: str, state: Mapping[str, Any], numbers: Numbers) -> UInt8[Array, "H W 3"]:
    """Gymnasium's picture of a state, drawn with our numbers (a longer pole looks longer); needs concrete arrays."""
    world = _renderer(id)
    for name, x in numbers.items():  # Acrobot spells them in capitals
        setattr(world, name, float(x))
        setattr(world, name.upper(), float(x))
    world.last_u = float(state.get("last_u", 0.0)) or None
    world.state = np.array([float(x) for name, x in state.items() if name not in ("time", "last_u")])
    return jnp.asarray(world.render(), jnp.uint8)
