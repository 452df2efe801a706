"""The options of the group `env` that other libraries make, each an extra. Needs no JAX."""

from dataclasses import dataclass
from typing import ClassVar

from romanesco.lab.fields import key, positive, size
from romanesco.lab.worlds import Environment, HostEnvironment


@dataclass
class GeneratedEnvironment(Environment):
    """A world whose first states are dear: they can be exact, or drawn from a pool that is made ahead."""

    reset: str = key(
        "exact", "exact: each episode has a world of its own; pool: a finite set", choices=("exact", "pool")
    )
    worlds: int = size(256, "of a pool: how many, for each seed")
    worlds_refresh: float = key(0.125, "of a pool: the share that is replaced, round robin", least=0, most=1)
    worlds_every: int = size(16, "of a pool: updates between two replacements")


@dataclass
class Craftax(GeneratedEnvironment):
    """Survival and crafting in generated worlds (Matthews et al., 2024)."""

    name: ClassVar[str] = "craftax"
    variant: str = key(
        "symbolic", "the whole game or its classic part, as numbers or pixels",
        choices=("symbolic", "classic", "pixels", "classic_pixels"),
    )  # fmt: skip


@dataclass
class LibraryEnvironment(Environment):
    """A world of a library by its id."""

    id: str = key("", "the name under which its library makes it", pattern=r"[\w-]+", form="a name that it knows")


class Navix(LibraryEnvironment):
    """MiniGrid in JAX (Pignatelli et al., 2024): `env=navix:ID`."""

    name = "navix"


class XMiniGrid(LibraryEnvironment):
    """XLand-MiniGrid (Nikulin et al., 2023): `env=xminigrid:ID`."""

    name = "xminigrid"


class Jumanji(LibraryEnvironment):
    """Combinatorial tasks, with action masks (Bonnet et al., 2024): `env=jumanji:ID`."""

    name = "jumanji"


@dataclass
class Brax(LibraryEnvironment):
    """Rigid bodies (Freeman et al., 2021): `env=brax:ID`."""

    name: ClassVar[str] = "brax"
    backend: str = key("generalized", "of the physics", choices=("generalized", "positional", "spring", "mjx"))


@dataclass
class Atari(HostEnvironment):
    """Games of the Arcade Learning Environment: `env=atari/pong`."""

    name: ClassVar[str] = "atari"
    id: str = key("breakout", "the game, as ALE names it", pattern=r"\w+", form="a name such as ms_pacman")
    protocol: str = key("v5", "sticky actions, as `ALE/*-v5`; or those of Mnih et al.", choices=("v5", "classic"))
    obs: str = key("pixels", "four gray screens of 84 x 84, or 128 bytes of memory", choices=("pixels", "ram"))
    sticky: float | None = key(
        None, "chance that a frame repeats the action before; null: the protocol's, .25 or 0", least=0, most=1
    )
    reward_clip: float | None = key(
        None, "bound of |reward| that learning sees; null: the protocol's, inf or 1", above=0, finite=False
    )


@dataclass
class MemoryMaze(HostEnvironment):
    """Targets in rooms, asked for by color, to be found again (Pasukonis et al., 2022)."""

    name: ClassVar[str] = "memory_maze"
    vectorization: str = key(
        "auto", "auto, async: a process each; sync: in this process", choices=("auto", "sync", "async")
    )
    size: int = key(9, "cells of a side: 9, 11, 13 or 15, with 3, 4, 5 or 6 targets", least=9, most=15)
    discrete: bool = key(True, "six actions; false: a Box of roll and steering")
    extra: bool = key(False, "observations also tell places, vectors to the targets and the layout")
    good_visibility: bool = key(False, "low walls and high targets")
    top_camera: bool = key(False, "seen from above")
    camera_resolution: int = key(64, "pixels of a side", least=1)
    control_freq: float = positive(4.0, "actions a second")
    randomize_colors: bool = key(False, "colors are drawn for each episode, from six")


LIBRARIES = (Craftax, Atari, MemoryMaze, Navix, XMiniGrid, Brax, Jumanji)
