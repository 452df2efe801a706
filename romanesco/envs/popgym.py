"""Six card games of POPGym that ask for memory (Morad et al., 2023, arXiv 2303.01859; as popgym 1.0.7 deals them).

A deck has 52 cards; card c has color c mod 2, suit c mod 4 and rank (c div 4) mod 13. Returns lie within -1 and 1.
What a perfect memory would know of the cards seen, and next to no more, can be shown too (`Recalled`).
"""

import abc
import math
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from romanesco.core.errors import BadInput, among
from romanesco.core.spaces import Discrete, MultiDiscrete, Space
from romanesco.envs.episodes import Altered, Dynamics, Episodes

LEVELS = ("easy", "medium", "hard")
KINDS = {
    "colors": (2, lambda card: card % 2),
    "suits": (4, lambda card: card % 4),
    "ranks": (13, lambda c: c // 4 % 13),
}
suit, rank = KINDS["suits"][1], KINDS["ranks"][1]


def _shuffled(key: Key[Array, ""], count: int) -> Int[Array, "N"]:
    return jax.random.permutation(key, jnp.arange(count, dtype=jnp.int32))


class Game(Dynamics):
    """A game, and what of its past its best moves depend on."""

    recall_space: ClassVar[Space]

    @abc.abstractmethod
    def recall(self, s: Any) -> Array:
        """-> what a perfect memory of all that was seen would tell a player in `s`."""


class Recalled(Altered):
    """A game that asks for no memory: seen is (what the game shows, what is to be remembered of its past)."""

    dynamics: Game

    @property
    def observation_space(self) -> tuple[Space, Space]:
        return self.dynamics.observation_space, self.dynamics.recall_space

    def observe(self, key: Key[Array, ""], s: Any) -> tuple[Any, Array]:
        return self.dynamics.observe(key, s), self.dynamics.recall(s)


class Deal(eqx.Module):
    """Shuffled cards in the order in which they are dealt, and how many steps were done."""

    cards: Int[Array, "N"]
    t: Int[Array, ""]


class Cards(Game):
    """A game in which one card is dealt a step, card t after t steps; it terminates with the last."""

    decks: int = eqx.field(static=True)

    @property
    def count(self) -> int:
        return 52 * self.decks

    @property
    def length(self) -> int:
        return self.count - 1

    def init(self, key: Key[Array, ""]) -> Deal:
        return Deal(_shuffled(key, self.count), jnp.int32(0))

    def transition(self, key: Key[Array, ""], s: Deal, action: Int[Array, ""]) -> tuple[Deal, Any, Any, Any]:
        moved = eqx.tree_at(lambda s: s.t, s, s.t + 1)
        return moved, self.pay(s, action), moved.t == self.length, False

    @abc.abstractmethod
    def pay(self, s: Any, action: Int[Array, ""]) -> Float[Array, ""]:
        """-> the reward of an action in `s`."""


def _counted(kinds: Int[Array, "N"], t: Int[Array, ""], of: int) -> Int[Array, "K"]:
    """-> how often each of so many kinds was dealt until after `t` steps."""
    return jnp.bincount(jnp.where(jnp.arange(len(kinds)) <= t, kinds, of), length=of + 1)[:of]


def signed(right: Bool[Array, ""], steps: int) -> Float[Array, ""]:
    """A right answer's share of a return of 1, a wrong one's of -1, over so many answers."""
    return jnp.where(right, 1.0, -1.0) / steps


class RepeatPrevious(Cards):
    """Say the suit seen k - 1 steps ago, k = 1 being the one that is seen."""

    k: int = eqx.field(static=True)
    observation_space = action_space = Discrete(4)
    recall_space = Discrete(5)  # 4: no card yet

    def recall(self, s: Deal) -> Int[Array, ""]:
        then = s.t + 1 - self.k
        return jnp.where(then >= 0, suit(s.cards[then]), 4)

    def pay(self, s: Deal, action: Int[Array, ""]) -> Float[Array, ""]:
        asked = self.recall(s)
        return jnp.where(asked < 4, signed(action == asked, self.count - self.k), 0.0)

    def observe(self, key: Key[Array, ""], s: Deal) -> Int[Array, ""]:
        return suit(s.cards[s.t])


class RepeatFirst(Cards):
    """Say the suit of the first card at every step."""

    observation_space = action_space = recall_space = Discrete(4)

    def recall(self, s: Deal) -> Int[Array, ""]:
        return suit(s.cards[0])

    def pay(self, s: Deal, action: Int[Array, ""]) -> Float[Array, ""]:
        return signed(action == self.recall(s), self.length)

    def observe(self, key: Key[Array, ""], s: Deal) -> Int[Array, ""]:
        return suit(s.cards[s.t])


class Autoencode(Cards):
    """See all suits, then say them backwards. Seen: (1 while cards are dealt, 0 from the last one on; the suit)."""

    observation_space = (Discrete(2), Discrete(4))
    action_space = Discrete(4)
    recall_space = Discrete(5)  # 4: nothing is to be said

    @property
    def length(self) -> int:
        return 2 * self.count - 1

    def recall(self, s: Deal) -> Int[Array, ""]:
        said = s.t + 1 - self.count
        return jnp.where((said >= 0) & (said < self.count), suit(s.cards[self.count - 1 - said]), 4)

    def pay(self, s: Deal, action: Int[Array, ""]) -> Float[Array, ""]:
        asked = self.recall(s)
        return jnp.where(asked < 4, signed(action == asked, self.count), 0.0)

    def observe(self, key: Key[Array, ""], s: Deal) -> tuple[Array, Array]:
        dealt = s.t < self.count
        return s.t < self.count - 1, jnp.where(dealt, suit(s.cards[jnp.minimum(s.t, self.count - 1)]), 0)


class HigherLower(Cards):
    """Guess whether the next rank is higher (0) or lower (1); equal ones pay nothing."""

    observation_space = Discrete(13)
    action_space = Discrete(2)

    @property
    def recall_space(self) -> MultiDiscrete:
        return MultiDiscrete((4 * self.decks + 1,) * 13)

    def recall(self, s: Deal) -> Int[Array, "13"]:
        """-> how often each rank was seen."""
        return _counted(rank(s.cards), s.t, 13)

    def pay(self, s: Deal, action: Int[Array, ""]) -> Float[Array, ""]:
        now, then = rank(s.cards[s.t]), rank(s.cards[s.t + 1])
        return jnp.where(now == then, 0.0, signed((then > now) == (action == 0), self.count))

    def observe(self, key: Key[Array, ""], s: Deal) -> Int[Array, ""]:
        return rank(s.cards[s.t])


class Asked(Deal):
    """A deal, and the cards that are asked about."""

    queries: Int[Array, "N"]


class CountRecall(Cards):
    """Say how often the kind of card asked about was dealt. Seen: (kind dealt, kind asked about)."""

    kind: str = eqx.field(static=True)

    @property
    def observation_space(self) -> MultiDiscrete:
        return MultiDiscrete((KINDS[self.kind][0],) * 2)

    @property
    def action_space(self) -> Discrete:
        return Discrete(self.count // KINDS[self.kind][0] + 1)

    def init(self, key: Key[Array, ""]) -> Asked:
        dealt, asked = (super(CountRecall, self).init(k) for k in jax.random.split(key))
        return Asked(dealt.cards, dealt.t, asked.cards)

    @property
    def recall_space(self) -> Discrete:
        return self.action_space

    def recall(self, s: Asked) -> Int[Array, ""]:
        kinds, of = KINDS[self.kind]
        return _counted(of(s.cards), s.t, kinds)[of(s.queries[s.t])]

    def pay(self, s: Asked, action: Int[Array, ""]) -> Float[Array, ""]:
        return signed(action == self.recall(s), self.length)

    def observe(self, key: Key[Array, ""], s: Asked) -> Int[Array, "2"]:
        of = KINDS[self.kind][1]
        return jnp.stack([of(s.cards[s.t]), of(s.queries[s.t])])


class Table(eqx.Module):
    """Cards on the table: those found, the one turned first (or -1), those seen now, and those seen ever."""

    cards: Int[Array, "N"]
    found: Bool[Array, "N"]
    first: Int[Array, ""]
    seen: Bool[Array, "N"]
    known: Bool[Array, "N"]

    @classmethod
    def of(cls, cards: Int[Array, "N"]) -> "Table":
        nothing = jnp.zeros(len(cards), bool)
        return cls(cards, nothing, jnp.int32(-1), nothing, nothing)


class Concentration(Game):
    """Turn two cards at a time; two of a kind stay open. Seen: the kind of every card, one more number if hidden."""

    decks: int = eqx.field(static=True)
    kind: str = eqx.field(static=True)

    @property
    def count(self) -> int:
        return 52 * self.decks

    @property
    def limit(self) -> int:
        """In which a player without mistakes is likely to be done."""
        return math.ceil(2 * self.count - self.count / (2 * self.count - 1))

    @property
    def observation_space(self) -> MultiDiscrete:
        return MultiDiscrete((KINDS[self.kind][0] + 1,) * self.count)

    @property
    def recall_space(self) -> MultiDiscrete:
        return self.observation_space

    @property
    def action_space(self) -> Discrete:
        return Discrete(self.count)

    def init(self, key: Key[Array, ""]) -> Table:
        return Table.of(_shuffled(key, self.count))

    def transition(self, key: Key[Array, ""], s: Table, action: Int[Array, ""]) -> tuple[Table, Any, Any, Any]:
        of, place = KINDS[self.kind][1], jnp.arange(self.count)
        turned = (place == action) | (place == s.first)
        second = s.first >= 0
        again = s.found[action] | (second & s.found[s.first])
        pair = second & ~again & (action != s.first) & (of(s.cards[action]) == of(s.cards[s.first]))
        found = s.found | (turned & pair)
        failed = jnp.where(again | (second & ~pair), -1.0 / self.limit, 0.0) * jnp.where(second, 2, 1)
        reward = jnp.where(pair, 2 / self.count, failed)
        first = jnp.where(second | again, -1, action)
        return Table(s.cards, found, first, s.found | turned, s.known | turned), reward, found.all(), False

    def observe(self, key: Key[Array, ""], s: Table) -> Int[Array, "N"]:
        return self._open(s, s.seen)

    def recall(self, s: Table) -> Int[Array, "N"]:
        return self._open(s, s.known)

    def _open(self, s: Table, which: Bool[Array, "N"]) -> Int[Array, "N"]:
        kinds, of = KINDS[self.kind]
        return jnp.where(which, of(s.cards), kinds)

    def metrics(self, s: Table) -> dict[str, Any]:
        return {"success": s.found.all()}


def _game(kind: type[Game], *levels: tuple) -> Callable[..., Episodes]:
    """What makes a game of one of three difficulties."""

    def make(*, difficulty: str = "easy", recall: bool = False, max_steps: int | None = None) -> Episodes:
        if difficulty not in LEVELS:
            raise BadInput(f"difficulty={difficulty}{among(difficulty, LEVELS)}")
        game = kind(*levels[LEVELS.index(difficulty)])
        limit = getattr(game, "limit", None) if max_steps is None else max_steps
        return Episodes(Recalled(game) if recall else game, limit)

    return make


repeat_previous = _game(RepeatPrevious, (1, 4), (2, 32), (3, 64))
repeat_first = _game(RepeatFirst, (1,), (8,), (16,))
autoencode = _game(Autoencode, (1,), (2,), (3,))
higher_lower = _game(HigherLower, (1,), (2,), (3,))
count_recall = _game(CountRecall, (1, "colors"), (2, "suits"), (4, "ranks"))
concentration = _game(Concentration, (1, "colors"), (2, "colors"), (1, "ranks"))
