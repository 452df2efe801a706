"""`flatten_actions`: every combination once, row-major, in the world's own space; what it refuses."""

import itertools

import gymnasium
import jax
import numpy as np
import pytest
from worlds_on_host import Trees

from romanesco.core.errors import BadInput
from romanesco.core.spaces import Box, Discrete, MultiDiscrete, contains, leaves
from romanesco.envs.flat import FlattenActions
from romanesco.envs.gym import given

SEEN = Box((1,))
SQUARE = MultiDiscrete(((2, 3), (4, 2)))
TREE = {"b": (Discrete(2, start=5), MultiDiscrete((3,))), "a": Discrete(2, start=-1)}


def every(space):
    """What each choice becomes, as the numbers of all leaves in a row."""
    flat = FlattenActions.of(SEEN, space)
    count = flat.spaces(SEEN, space)[1].n
    one = jax.jit(lambda action: flat.before(jax.random.key(0), (), action)[1])
    actions = [jax.tree.map(np.asarray, one(np.int32(n))) for n in range(count)]
    assert all(contains(space, action) for action in actions)
    return [tuple(np.concatenate([x.ravel() for x in jax.tree.leaves(action)]).tolist()) for action in actions]


@pytest.mark.parametrize(
    ("space", "choices"),
    [(SQUARE, [range(2), range(3), range(4), range(2)]), (TREE, [range(-1, 1), range(5, 7), range(3)]),
     (Discrete(3, start=-1), [range(-1, 2)])],
    ids=["square", "tree", "discrete"],
)  # fmt: skip
def test_each_combination_is_one_choice_in_row_major_order(space, choices):
    assert every(space) == list(itertools.product(*choices))
    assert sum(np.prod(leaf.shape, dtype=int) for leaf in leaves(space)) == len(choices)


@pytest.mark.parametrize(
    ("seen", "space", "said"),
    [(SEEN, MultiDiscrete((32, 33)), r"1,056 combinations; at most 1,024"),
     (SEEN, (Discrete(2), Box((1,))), "a Box has no choices"),
     ({"allowed": Box((5,), bool, False, True), "x": SEEN}, MultiDiscrete((2, 3)), "flatten_actions=false")],
    ids=["many", "box", "allowed"],
)  # fmt: skip
def test_what_cannot_be_one_choice_is_refused(seen, space, said):
    with pytest.raises(BadInput, match=said):
        FlattenActions.of(seen, space)


def test_the_largest_is_allowed():
    assert FlattenActions.of(SEEN, MultiDiscrete((32, 32))).spaces(SEEN, SEEN)[1] == Discrete(1024)


def test_a_world_on_the_host_has_one_choice_for_each_of_its_actions():
    class Pays(Trees):
        def step(self, action):
            return *super().step(action)[:1], float(np.ravel(action) @ [1000, 100, 10, 1]), True, False, {}

    world = given(Pays, num_envs=2, flatten_actions=True)
    assert isinstance(Pays().action_space, gymnasium.spaces.MultiDiscrete) and world.action_space == Discrete(48)
    env = world.streams(2)
    env.reset(jax.random.split(jax.random.key(0), 2))
    _, action = jax.vmap(lambda a: world.before(jax.random.key(0), world.init(), a))(np.array([0, 47]))
    assert env.step(jax.random.split(jax.random.key(0), 2), action).reward.tolist() == [0, 1231]
