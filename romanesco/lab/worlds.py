"""The options of the group `env`: worlds and the transforms around them. Needs no JAX."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from romanesco.core.errors import BadInput
from romanesco.envs.table import PARAMS
from romanesco.lab.fields import Option, key, positive, size

INF = float("inf")


@dataclass
class Environment(Option):
    """A world, and the transforms around it."""

    TWIN: ClassVar[dict[str, object]] = {}  # settings that show what this world hides
    twin: bool = key(False, "the fully observed twin: what the world hides is shown, and no memory needed")
    max_steps: int | None = size(None, "time limit of an episode; null: the environment's own")
    action_repeat: int = size(1, "how often each action is done; rewards are summed")
    rescale_actions: bool = key(False, "actions of a Box in [-1, 1] are stretched to its bounds")
    flatten_actions: bool = key(False, "each combination of a factored action is one choice; at most 1,024")
    sticky: float = key(0.0, "chance that the action done last is done again", least=0, most=1)
    action_delay: int = key(0, "steps after which an action is done", least=0)
    obs_delay: int = key(0, "steps after which an observation is seen", least=0)
    no_velocity: bool = key(False, "velocities are observed as 0")
    obs_dropout: float = key(0.0, "chance that a number of an observation is seen as 0", least=0, most=1)
    obs_noise: float = key(0.0, "deviation of Gaussian noise on observations, in units of obs_scale", least=0)
    obs_scale: list[float] = key([], "units of obs_noise, one a feature; []: 1", least=0)  # noqa: RUF009
    stack: int = size(1, "how many last observations are seen at once")
    show_previous: bool = key(False, "the previous action and the world's reward are seen too")
    reward_delay: int = size(1, "steps after which what was earned is paid, or at an episode's end")
    reward_scale: float = key(1.0, "learning sees rewards times this; scores are the world's own")
    reward_clip: float = positive(INF, "bound of |reward| that learning sees; inf: none", finite=False)


@dataclass
class TMaze(Environment):
    """A cue at the start tells where to turn at the end of a corridor."""

    name: ClassVar[str] = "tmaze"
    TWIN: ClassVar[dict[str, object]] = {"cue": "always"}
    corridor_length: int = key(160, "cells up to and with the junction", least=2, most=2**20)
    start_distance: int = key(0, "start 1..d cells before the junction; 0: at the corridor's start", least=0)
    position: str = key("gray", "what tells the place", choices=("gray", "countdown", "none"))
    position_bits: int | None = key(None, "bits of the Gray code; null: max(8, ceil(log2 L))", least=1, most=20)
    cue: str = key("first", "seen at the first step only, or always", choices=("first", "always"))
    distractors: int = key(6, "random bits in each observation", least=0)
    step_reward: float = key(-0.1, "reward of every step that is no turn")
    right: float = key(4.0, "reward of the right turn")
    wrong: float = key(-1.0, "reward of the wrong turn")


@dataclass
class TMazeWalk(TMaze):
    """A T-Maze in which both actions walk on, and turn up or down at the junction: remembering alone."""

    name: ClassVar[str] = "tmaze_walk"
    step_reward: float = key(0.0, "reward of every step that is no turn")


@dataclass
class TMazeEndless(Environment):
    """Corridor after corridor, each with a cue that replaces the last: remembering, and forgetting."""

    name: ClassVar[str] = "tmaze_endless"
    TWIN: ClassVar[dict[str, object]] = {"cue": "always"}
    corridor_length: int = key(160, "cells of a corridor up to and with its junction", least=2, most=2**20)
    corridors: int = key(5, "right turns that end an episode; 0: only the limit does", least=0)
    lengths: str = key("fixed", "uniform: each corridor has 1..corridor_length cells", choices=("fixed", "uniform"))
    cue: str = key("first", "seen at a corridor's first cell only, or always", choices=("first", "always"))
    distractors: int = key(6, "random bits in each observation", least=0)
    step_reward: float = key(-0.01, "reward of every step that is no turn")


@dataclass
class MysteryPath(Environment):
    """An invisible path over 7 x 7 tiles, found by falling off it and remembered (memory-gym's Mystery Path)."""

    name: ClassVar[str] = "mysterypath"
    TWIN: ClassVar[dict[str, object]] = {"show_path": True}
    variant: str = key("grid", "steps from tile to tile, or of some pixels", choices=("grid", "continuous"))
    obs: str = key("symbolic", "tile, heading and fall one-hot, or an image", choices=("symbolic", "pixels"))
    easy: bool = key(True, "the path's start and goal are seen")
    show_path: bool = key(False, "the path is seen: no memory needed")
    reward_goal: float = key(1.0, "reward at the path's end")
    reward_fall_off: float = key(0.0, "reward of a step off the path")
    reward_path_progress: float | None = key(None, "reward of a tile not yet visited; null: 0.1, in the hard grid 0")
    limit_is_terminal: bool = key(False, "the time limit terminates, as in memory-gym, instead of truncating")


class Probe1(Environment):
    """Constant reward 1, one step: V = 1."""

    name = "probe1"


class Probe2(Environment):
    """The reward is the observation: V = obs."""

    name = "probe2"


class Probe3(Environment):
    """Reward 1 after two steps: V = gamma, then 1."""

    name = "probe3"


class Probe4(Environment):
    """Action 0 pays 1, action 1 pays -1."""

    name = "probe4"


class Probe5(Environment):
    """The action must name the sign that is seen."""

    name = "probe5"


class Probe6(Environment):
    """The action must name the sign seen a step before: memory."""

    name = "probe6"


@dataclass
class Probe7(Environment):
    """Reward 1 until a time limit: V = 1/(1-gamma)."""

    name: ClassVar[str] = "probe7"
    terminal: bool = key(False, "the limit terminates, and the time left is observed")


class Probe8(Environment):
    """Reward -(a-obs)^2: a = obs."""

    name = "probe8"


def drawn(world: str) -> dict[str, list[float]]:
    """The mapping of a world's physical parameters to ranges."""
    return key({}, "[low,high] from which each episode draws a parameter", choices=tuple(PARAMS[world]))


@dataclass
class Physical(Environment):
    """A world whose physical numbers can be set, or drawn anew for each episode."""

    context: bool = key(False, "what was drawn is seen, scaled to [-1, 1], in an entry `context` beside `state`")


@dataclass
class CartPole(Physical):
    """Balance a pole on a cart (Gymnasium's CartPole-v1)."""

    name: ClassVar[str] = "cartpole"
    randomize: dict[str, list[float]] = drawn("cartpole")  # noqa: RUF009
    gravity: float = positive(9.8, "m/s^2")
    masscart: float = positive(1.0, "kg")
    masspole: float = positive(0.1, "kg")
    length: float = positive(0.5, "half the pole's length, m")
    force_mag: float = positive(10.0, "N")
    tau: float = positive(0.02, "seconds between two steps")
    init_spread: float = key(0.05, "first states are uniform in +-init_spread", least=0)


@dataclass
class Acrobot(Physical):
    """Swing two links up by the joint between them (Gymnasium's Acrobot-v1)."""

    name: ClassVar[str] = "acrobot"
    randomize: dict[str, list[float]] = drawn("acrobot")  # noqa: RUF009
    link_length_1: float = positive(1.0, "m")
    link_length_2: float = positive(1.0, "m")
    link_mass_1: float = positive(1.0, "kg")
    link_mass_2: float = positive(1.0, "kg")
    link_com_pos_1: float = positive(0.5, "place of the first link's center of mass, m")
    link_com_pos_2: float = positive(0.5, "place of the second link's center of mass, m")
    link_moi: float = positive(1.0, "moment of inertia of both links")
    torque_noise_max: float = key(0.0, "uniform noise of the torque", least=0)
    init_spread: float = key(0.1, "first states are uniform in +-init_spread", least=0)


@dataclass
class MountainCar(Physical):
    """Rock an underpowered car up a hill (Gymnasium's MountainCar-v0)."""

    name: ClassVar[str] = "mountaincar"
    randomize: dict[str, list[float]] = drawn("mountaincar")  # noqa: RUF009
    force: float = positive(0.001, "what the motor adds to the velocity")
    gravity: float = positive(0.0025, "what the slope adds to the velocity")
    max_speed: float = positive(0.07, "bound of the velocity")
    init_low: float = key(-0.6, "leftmost first position", least=-1.2, most=0.6)
    init_high: float = key(-0.4, "rightmost first position", least=-1.2, most=0.6)


class Pendulum(Environment):
    """Swing a pendulum up and hold it (Gymnasium's Pendulum-v1)."""

    name = "pendulum"


class MountainCarContinuous(Environment):
    """The car on the hill, with a force as action (Gymnasium's MountainCarContinuous-v0)."""

    name = "mountaincar_continuous"


@dataclass
class Gymnax(Environment):
    """Any other environment of gymnax: `env=gymnax:ID`."""

    name: ClassVar[str] = "gymnax"
    id: str = key("", "the name under which gymnax makes it", pattern=r"[\w-]+", form="a name that gymnax knows")


@dataclass
class HostEnvironment(Environment):
    """A world outside the program."""

    vectorization: str = key(
        "auto",
        "auto: the environment's own vector form, else sync; sync: in this process; async: a process each",
        choices=("auto", "sync", "native", "async"),
    )
    timeout: float = positive(60.0, "seconds that one step may take")


@dataclass
class GymnasiumEnvironment(HostEnvironment):
    """Any environment that Gymnasium can make: `env=gymnasium:ID`; its constructor's keywords are settings."""

    name: ClassVar[str] = "gymnasium"


@dataclass
class Lander(HostEnvironment, Physical):
    """Land between two flags (Gymnasium's LunarLander-v3)."""

    name: ClassVar[str] = "lander"
    randomize: dict[str, list[float]] = drawn("lander")  # noqa: RUF009
    continuous: bool = key(False, "throttles as a Box instead of four actions")
    gravity: float = key(-10.0, "m/s^2", above=-12, most=-0.01)
    enable_wind: bool = key(False, "wind and turbulence")
    wind_power: float = key(15.0, "largest force of the wind", least=0, most=20)
    turbulence_power: float = key(1.5, "largest torque of the turbulence", least=0, most=2)


@dataclass
class GivenEnvironment(HostEnvironment):
    """An environment that came as an object."""

    name: ClassVar[str] = "object"


def _kinds(of: type[Environment]) -> list[type[Environment]]:
    return [of, *(kind for sub in of.__subclasses__() for kind in _kinds(sub))]


def shown(env: Environment) -> Environment:
    """The world that is played: where `env.twin` asks for it, the fully observed one. Raises `BadInput`: has none."""
    if not env.twin:
        return env
    settings = {"no_velocity": False, **env.TWIN}
    if all(getattr(env, name) == value for name, value in settings.items()):
        having = ", ".join(world.name for world in _kinds(Environment) if world.TWIN and world.name)
        raise BadInput(
            f"env.twin=true: env={env.name} hides nothing, so it has no fully observed twin; {having} have one, and "
            "every world under env.no_velocity=true"
        )
    return dataclasses.replace(env, twin=False, **settings)


WORLDS = (
    TMaze, TMazeWalk, TMazeEndless, CartPole, Acrobot, MountainCar, Pendulum, MountainCarContinuous, Lander,
    MysteryPath, Gymnax, Probe1, Probe2, Probe3, Probe4, Probe5, Probe6, Probe7, Probe8,
)  # fmt: skip
