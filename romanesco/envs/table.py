"""What is known of every registered world without building it; needs no JAX. A test holds it against the worlds."""

import re
from typing import Any, NamedTuple

from romanesco.core.errors import BadInput, nearest
from romanesco.core.spaces import Param
from romanesco.envs import ENVS


class Row(NamedTuple):
    """One line of `list envs`; spaces as `core.spaces.describe` writes them, `extra` as pip installs it."""

    kind: str
    observation: str
    actions: str
    limit: int | None
    threshold: float | None
    extra: str
    aliases: tuple[str, ...]
    summary: str


def _ours(observation: str, actions: str, limit: int | None, summary: str) -> Row:
    return Row("pure", observation, actions, limit, None, "", (), summary)


def _classic(size: int, actions: str, limit: int, threshold: float | None, alias: str, summary: str) -> Row:
    return Row("pure", f"Box({size},) float32", actions, limit, threshold, "", (alias,), summary)


_ONE = "Box(1,) float32"

MYSTERY_PATHS: dict[str, dict[str, Any]] = {
    f"MysteryPath{grid}{easy}-v0": {"variant": variant, "easy": bool(easy), "obs": "pixels"}
    for grid, variant in (("", "continuous"), ("-Grid", "grid"))
    for easy in ("", "-Easy")
}
"""The ids under which Mystery Path was published, and the options they stand for."""

ROWS: dict[str, Row] = {
    "tmaze": _ours(
        "Box(16,) float32", "Discrete(4)", 1000, "a cue shown once, at the start, names the turn at the end"
    ),
    "tmaze_walk": _ours(
        "Box(16,) float32", "Discrete(2)", 1000, "a T-Maze in which both actions walk on: remembering alone"
    ),
    "tmaze_endless": _ours(
        "Box(17,) float32", "Discrete(3)", 4830, "corridor after corridor, each with a cue that replaces the last"
    ),
    "mysterypath": _ours(
        "Box(152,) float32", "Discrete(4)", 128, "an invisible path, found by falling off it and remembered"
    )._replace(aliases=tuple(MYSTERY_PATHS)),
    "probe1": _ours(_ONE, "Discrete(1)", None, "constant reward 1, one step: V = 1"),
    "probe2": _ours(_ONE, "Discrete(1)", None, "the reward is the observation: V = obs"),
    "probe3": _ours(_ONE, "Discrete(1)", None, "reward 1 after two steps: V = gamma, then 1"),
    "probe4": _ours(_ONE, "Discrete(2)", None, "action 0 pays 1, action 1 pays -1"),
    "probe5": _ours(_ONE, "Discrete(2)", None, "the action must name the sign that is seen"),
    "probe6": _ours(_ONE, "Discrete(2)", None, "the action must name the sign seen a step before: memory"),
    "probe7": _ours(_ONE, "Discrete(1)", 5, "reward 1 until a time limit: V = 1/(1-gamma)"),
    "probe8": _ours(_ONE, "Box(1,) float32", None, "reward -(a-obs)^2: a = obs"),
    "cartpole": _classic(4, "Discrete(2)", 500, 475.0, "CartPole-v1", "balance a pole on a cart"),
    "acrobot": _classic(6, "Discrete(3)", 500, -100.0, "Acrobot-v1", "swing two links up by the joint between them"),
    "mountaincar": _classic(2, "Discrete(3)", 200, -110.0, "MountainCar-v0", "rock an underpowered car up a hill"),
    "pendulum": _classic(3, "Box(1,) float32", 200, None, "Pendulum-v1", "swing a pendulum up and hold it"),
    "mountaincar_continuous": _classic(
        2, "Box(1,) float32", 999, 90.0, "MountainCarContinuous-v0", "the car on the hill, with a force as action"
    ),
}

ROWS |= {
    "umbrella": _ours("Box(3,) float32", "Discrete(2)", None, "only the first action counts, paid at the end: credit"),
    "grid_rooms": _ours("Box(11, 11, 2) float32", "Discrete(4)", 200, "find an invisible goal in four rooms"),
    "grid_keys": _ours("Box(9, 9, 5) float32", "Discrete(4)", 200, "a key opens a door to the exit, which alone pays"),
    "grid_key_to_door": _ours(
        "Box(7, 7, 5) float32", "Discrete(4)", None, "a key now, apples for long, a door at the end: credit and memory"
    ),
    "grid_abc": _ours("Box(5, 5, 5) float32", "Discrete(4)", 20, "three objects whose worth a life of episodes tells"),
    "popgym_repeat_previous": _ours("Discrete(4)", "Discrete(4)", None, "say the suit seen some steps ago"),
    "popgym_repeat_first": _ours("Discrete(4)", "Discrete(4)", None, "say the suit seen first, all along"),
    "popgym_autoencode": _ours(
        "(Discrete(2), Discrete(4))", "Discrete(4)", None, "see a deck's suits, then say them backwards"
    ),
    "popgym_count_recall": _ours("MultiDiscrete((2, 2))", "Discrete(27)", None, "say how often a kind was dealt"),
    "popgym_higher_lower": _ours("Discrete(13)", "Discrete(2)", None, "guess the next card from those gone"),
    "popgym_concentration": _ours(
        f"MultiDiscrete({(3,) * 52})", "Discrete(52)", 104, "turn up pairs of cards from memory"
    ),
}

ROWS["craftax"] = Row(
    "pure", "Box(8268,) float32", "Discrete(43)", 100_000, None, "craftax", ("Craftax-Symbolic-v1",),
    "survival and crafting in generated worlds",
)  # fmt: skip
ROWS["lander"] = Row(
    "host", "Box(8,) float32", "Discrete(4)", 1000, 200.0, "box2d", ("LunarLander-v3",),
    "land between two flags, with three engines",
)  # fmt: skip

ROWS["atari"] = Row(
    "host", "Box(4, 84, 84) uint8", "Discrete(4)", 27_000, None, "atari", (),
    "games of the Arcade Learning Environment, by their names: atari/pong, ALE/Pong-v5",
)  # fmt: skip

ROWS["memory_maze"] = Row(
    "host", "Box(64, 64, 3) uint8", "Discrete(6)", 1000, None, "memory-maze", ("MemoryMaze-9x9-v0",),
    "targets in rooms, asked for by color, to be found again",
)  # fmt: skip

PURE = tuple(name for name, row in ROWS.items() if row.kind == "pure" and not row.extra)

VELOCITIES: dict[str, tuple[int, ...]] = {
    "cartpole": (1, 3),
    "acrobot": (4, 5),
    "mountaincar": (1,),
    "pendulum": (2,),
    "mountaincar_continuous": (1,),
    "lander": (2, 3, 5),
}
"""Which observation components `env.no_velocity=true` zeroes (as rl-baselines3-zoo does; Acrobot's are ours)."""


def _params(**defaults: float) -> dict[str, Param]:
    return {name: Param(x, min(x / 2, 2 * x), max(x / 2, 2 * x)) for name, x in defaults.items()}


PARAMS: dict[str, dict[str, Param]] = {
    "cartpole": _params(
        gravity=9.8, masscart=1.0, masspole=0.1, length=0.5, force_mag=10.0, tau=0.02, init_spread=0.05
    ),
    "acrobot": {
        **_params(link_length_1=1.0, link_length_2=1.0, link_mass_1=1.0, link_mass_2=1.0),
        **_params(link_com_pos_1=0.5, link_com_pos_2=0.5, link_moi=1.0, init_spread=0.1),
        "torque_noise_max": Param(0.0, 0.0, 1.0),
    },
    "mountaincar": _params(force=0.001, gravity=0.0025, max_speed=0.07, init_low=-0.6, init_high=-0.4),
    "lander": {
        "gravity": Param(-10.0, -11.99, -5.0),
        "wind_power": Param(15.0, 7.5, 20.0),
        "turbulence_power": Param(1.5, 0.75, 2.0),
    },
}
"""Physical numbers that can be set, batched or drawn per episode."""

FEATURES: dict[str, tuple[str, ...]] = {
    "lander": ("x", "y", "x velocity", "y velocity", "angle", "angular velocity", "left leg", "right leg"),
}
"""What the components of an observation are, of worlds on the host."""

LIBRARIES = ("gymnax", "navix", "xminigrid", "brax", "jumanji")
"""Pure worlds by library and id: `navix:ID`."""

ALIASES: dict[str, str] = {
    alias: name for name, row in ROWS.items() for alias in row.aliases if alias not in MYSTERY_PATHS
}

_CRAFTAX = {
    "Craftax-Pixels-v1": "pixels",
    "Craftax-Classic-Symbolic-v1": "classic",
    "Craftax-Classic-Pixels-v1": "classic_pixels",
}
_GYMNAX = {
    "minatar/asterix": "Asterix-MinAtar",
    "minatar/breakout": "Breakout-MinAtar",
    "minatar/freeway": "Freeway-MinAtar",
    "minatar/seaquest": "Seaquest-MinAtar",
    "minatar/space_invaders": "SpaceInvaders-MinAtar",
}


def spelled(game: str) -> str:
    """`MsPacman` -> `ms_pacman`, as ALE names its games; a name in small letters stays."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", game).lower()


def resolve(name: str) -> tuple[str, dict[str, Any]]:
    """A registry name, an alias, `atari/GAME`, `gymnasium:ID` or an ID of `LIBRARIES` -> the name and the options it
    stands for.

    `gymnasium:ID` stands for itself, and so does a bare id that Gymnasium knows. An unknown name raises `BadInput` with
    the nearest of all names and aliases.
    """
    name = f"gymnax:{_GYMNAX[name]}" if name in _GYMNAX else name
    if game := re.fullmatch(r"(?:atari[/:](\w+)|(?:gymnasium:)?ALE/(\w+)-v5)", name):
        return "atari", {"id": spelled(game[1] or game[2])}
    if name in _CRAFTAX:
        return "craftax", {"variant": _CRAFTAX[name]}
    if maze := re.fullmatch(r"MemoryMaze-(11|13|15)x\1-v0", name):
        return "memory_maze", {"size": int(maze[1])}
    library, _, identity = name.partition(":")
    if library in LIBRARIES and identity:
        ours = library == "gymnax" and identity in ALIASES
        return (ALIASES[identity], {}) if ours else (library, {"id": identity})
    if library == "gymnasium" and identity:
        return ("lander", {}) if identity == "LunarLander-v3" else (name, {})
    if name in ALIASES:
        return ALIASES[name], {}
    if name in MYSTERY_PATHS:
        return "mysterypath", MYSTERY_PATHS[name]
    known = [known for known in ENVS if known not in (*LIBRARIES, "gymnasium")]
    if name in known:
        return name, {}
    close = _as_of_old(name)
    if not close and re.search(r"-v\d+$", name) and name in _registered():
        return f"gymnasium:{name}", {}
    close = close or nearest(name, [*known, *ALIASES, *MYSTERY_PATHS, *_GYMNAX])
    known += [f"{library}:ID" for library in (*LIBRARIES, "gymnasium")]
    raise BadInput(f"unknown environment `{name}`{close or ';'} known: {', '.join(known)}")


def _as_of_old(name: str) -> str:
    """-> "; did you mean `ALE/Breakout-v5`?" for what Gymnasium once called BreakoutNoFrameskip-v4, or Breakout-v0."""
    old = re.fullmatch(r"(\w+?)(?:-ram)?(NoFrameskip|Deterministic)?-v[04]", name)
    if not old:
        return ""
    from romanesco.envs.arcade import rom

    try:
        rom(old[1])
    except BadInput:  # no such game, or no ale-py
        if not old[2]:
            return ""
    return f"; did you mean `ALE/{old[1]}-v5`?"


def _registered() -> Any:
    import gymnasium

    return gymnasium.registry
