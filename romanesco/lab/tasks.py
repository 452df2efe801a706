"""The options of worlds that ask for credit, for exploration or for memory. Needs no JAX."""

from dataclasses import dataclass
from typing import ClassVar

from romanesco.lab.fields import key, size
from romanesco.lab.worlds import Environment

LIFE = "a life is told as one episode, whose observations say in `ended` where one inside it ends"


@dataclass
class Umbrella(Environment):
    """Only the first action counts, and it is paid at the end (bsuite's umbrella chain)."""

    name: ClassVar[str] = "umbrella"
    chain_length: int = size(20, "steps of an episode")
    distractors: int = key(0, "random bits in each observation", least=0)
    noise: float = key(0.5, "size of the random rewards on the way; bsuite's 1", least=0)
    terminal: float = key(10.0, "size of the reward at the end; bsuite's 1", least=0)


@dataclass
class Gridded(Environment):
    """A grid of walls, objects and an agent with four moves."""

    TWIN: ClassVar[dict[str, object]] = {"view": 0}
    view: int = key(0, "cells around the agent that are seen, an odd number; 0: the whole grid", least=0)


@dataclass
class GridRooms(Gridded):
    """Find an invisible goal in four rooms."""

    name: ClassVar[str] = "grid_rooms"
    life: int = size(1, "episodes for which the goal stays")
    life_is_episode: bool = key(False, LIFE)


@dataclass
class GridKeys(Gridded):
    """A key opens a door to the exit, which alone pays."""

    name: ClassVar[str] = "grid_keys"
    TWIN: ClassVar[dict[str, object]] = {"view": 0, "show_inventory": True}
    show_inventory: bool = key(False, "what is held is seen")


@dataclass
class GridKeyToDoor(Gridded):
    """A key worth nothing now, apples for long, a door worth 10 at the end, if the key was taken."""

    name: ClassVar[str] = "grid_key_to_door"
    TWIN: ClassVar[dict[str, object]] = {"view": 0, "show_inventory": True}
    show_inventory: bool = key(False, "what is held is seen: credit without memory")


@dataclass
class GridAbc(Gridded):
    """Three objects: which is good is drawn for a life of episodes."""

    name: ClassVar[str] = "grid_abc"
    life: int = size(50, "episodes for which the rewards stay")
    life_is_episode: bool = key(False, LIFE)


@dataclass
class PopGym(Environment):
    """A card game of POPGym."""

    TWIN: ClassVar[dict[str, object]] = {"recall": True}
    recall: bool = key(False, "beside what is seen stands what there is to remember, and no memory is needed")
    difficulty: str = key("easy", "how many cards there are", choices=("easy", "medium", "hard"))


class RepeatPrevious(PopGym):
    """Say the suit seen some steps ago (POPGym's RepeatPrevious)."""

    name = "popgym_repeat_previous"


class RepeatFirst(PopGym):
    """Say the suit seen first, at every step (POPGym's RepeatFirst)."""

    name = "popgym_repeat_first"


class Autoencode(PopGym):
    """See a deck's suits, then say them backwards (POPGym's Autoencode)."""

    name = "popgym_autoencode"


class CountRecall(PopGym):
    """Say how often a kind of card was dealt (POPGym's CountRecall)."""

    name = "popgym_count_recall"


class HigherLower(PopGym):
    """Guess whether the next card is higher or lower (POPGym's HigherLower)."""

    name = "popgym_higher_lower"


class Concentration(PopGym):
    """Turn up pairs of cards (POPGym's Concentration)."""

    name = "popgym_concentration"


TASKS = (
    Umbrella, GridRooms, GridKeys, GridKeyToDoor, GridAbc,
    RepeatPrevious, RepeatFirst, Autoencode, CountRecall, HigherLower, Concentration,
)  # fmt: skip
