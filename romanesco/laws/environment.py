"""The laws of pure environments, E1-E10, as functions of one environment. T time, B streams.

Each law is one compiled program or a trace. The pool halves of E6 and E10 wait for worlds that reset that way.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.extend as jex
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Key, PyTree

from romanesco.agent.uniform import random_action
from romanesco.core.spaces import contains, describe
from romanesco.core.types import Env, TimeStep
from romanesco.laws.resets import e10_lazy
from romanesco.laws.verdict import close, require

LARGEST_CONSTANT = 1_000_000  # bytes in a program; more must travel as arguments
LONGEST = 1200  # steps; episodes beyond are not played to their limit


def _play(env: Env, k_world: Key[Array, ""], k_act: Key[Array, ""], T: int) -> tuple[TimeStep, PyTree[Array]]:
    """One stream under random actions -> steps [T+1], actions [T]; the first of them do not depend on T."""

    def tick(state, t):
        action = random_action(jax.random.fold_in(k_act, t), env.action_space)
        state, ts = env.step(jax.random.fold_in(k_world, t), state, action)
        return state, (ts, action)

    state, begun = env.reset(k_world)
    _, (steps, actions) = jax.lax.scan(tick, state, jnp.arange(T))
    return jax.tree.map(lambda x, xs: jnp.concatenate([x[None], xs]), begun, steps), actions


@functools.partial(jax.jit, static_argnames="T")
def _streams(env: Env, k_worlds: Key[Array, "B"], k_acts: Key[Array, "B"], *, T: int):
    return jax.vmap(lambda k_world, k_act: _play(env, k_world, k_act, T))(k_worlds, k_acts)


def _keys(env: Env, seed: int) -> tuple[Key[Array, "B"], Key[Array, "B"]]:
    """Keys of worlds and of actions for 10,000 steps or more."""
    return tuple(jax.random.split(jax.random.key(seed), (2, max(16, -(-10_000 // _span(env))))))


def _streams_of(env: Env, seed: int) -> tuple[TimeStep, PyTree[Array]]:
    """Streams that reach the limit -> steps [B T+1], actions [B T]. All laws share this one program."""
    return _streams(env, *_keys(env, seed), T=_span(env))


def _span(env: Env) -> int:
    """Steps that end an episode by its limit, and some more."""
    return min(max((env.max_steps or 0) + 8, 110), LONGEST)


def _shape(x: PyTree) -> list[tuple[str, tuple[int, ...], str, bool]]:
    leaves = jax.tree_util.tree_leaves_with_path(x)
    return [
        (jax.tree_util.keystr(path), leaf.shape, str(leaf.dtype), getattr(leaf, "weak_type", False))
        for path, leaf in leaves
    ]


def _differ(a: PyTree, b: PyTree, near: float = 0.0) -> Bool[Array, ""]:
    """Whether two trees differ anywhere, floats by more than `near` of their size; NaN equals NaN."""

    def unlike(x, y):
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        floats = jnp.issubdtype(x.dtype, jnp.floating)
        far = abs(x - y) > near * (1 + abs(y)) if floats and near else x != y
        return jnp.any((far | ((x != x) != (y != y))) & ~((x != x) & (y != y)))

    return functools.reduce(jnp.logical_or, jax.tree.leaves(jax.tree.map(unlike, a, b)), jnp.array(False))


def e1_spaces(env: Env) -> None:
    """E1: observation, reward, discount and state have the shapes and strong dtypes of the spaces, always."""
    key = jax.random.key(1)
    action = jax.eval_shape(lambda key: random_action(key, env.action_space), key)
    begun = jax.eval_shape(env.reset, key)
    moved = jax.eval_shape(env.step, key, begun[0], action)
    for when, (state, ts) in (("reset", begun), ("step", moved)):
        for path, _, dtype, weak in _shape((state, ts)):
            require(not weak, f"E1: {when} returns a weak {dtype} at {path}: the next call would be another program")
        wanted = jax.tree.map(lambda space: jax.ShapeDtypeStruct(space.shape, space.dtype), env.observation_space)
        got = [x[1:3] for x in _shape(ts.obs)]
        said = [x[1:3] for x in _shape(wanted)]
        require(got == said, f"E1: {when} shows {got}, the observation space says {said}")
        for name, kind in (("reward", "float32"), ("discount", "float32"), ("first", "bool"), ("last", "bool")):
            x = getattr(ts, name)
            require(
                (x.shape, str(x.dtype)) == ((), kind), f"E1: {name} of {when} is {x.dtype}{x.shape}, wanted {kind}()"
            )
    require(len(_shape(begun)) == len(_shape(moved)), "E1: reset and step return different trees")
    differing = [f"{a[0]}: {a[1:]} and {b[1:]}" for a, b in zip(_shape(begun), _shape(moved), strict=True) if a != b]
    require(not differing, f"E1: reset and step disagree at {differing}")
    steps, actions = jax.tree.map(np.asarray, _streams_of(env, 1))
    for what, space, xs in (("observation", env.observation_space, steps.obs), ("action", env.action_space, actions)):
        for b, t in np.ndindex(10, 100):
            x = jax.tree.map(lambda x, at=(b, t): x[at], xs)
            require(contains(space, x), f"E1: {what} {x} of stream {b}, step {t} is outside {describe(space)}")


def e2_ends(env: Env) -> None:
    """E2 (with C2): `first` follows `last`; what reward and discount may say there."""
    ts = jax.tree.map(np.asarray, _streams_of(env, 2)[0])
    first, last = ts.first, ts.last
    require(first[:, 0].all(), "E2: a reset is not `first`")
    require(not last[:, 0].any(), "E2: a reset is `last`")
    require((first[:, 1:] == last[:, :-1]).all(), "E2: first[t+1] is not last[t]: a `first` follows every `last`, only")
    require((ts.reward[first] == 0).all(), "E2: a reward is paid at `first`, where no action has led")
    require((ts.discount[first] == 1).all(), "E2: discount is not 1 at `first`")
    require(np.isin(ts.discount, (0, 1)).all(), "E2: discount is neither 0 nor 1")
    require(last[ts.discount == 0].all(), "E2: discount is 0 where nothing ends")
    if env.max_steps is None:
        require((ts.discount[last] == 0).all(), "E2: an episode is cut off (discount 1) by a world that has no limit")
        return
    length = np.zeros(last.shape, int)
    for t in range(1, last.shape[1]):
        length[:, t] = np.where(first[:, t], 0, length[:, t - 1] + 1)
    require((length <= env.max_steps).all(), f"E2: an episode is longer than max_steps={env.max_steps}")
    require((length[last & (ts.discount == 1)] == env.max_steps).all(), "E2: an episode is cut off before its limit")
    at_limit = length == env.max_steps
    require(last[at_limit].all(), "E2: an episode goes on beyond its limit")
    confused = at_limit.sum() >= 4 and not ts.discount[at_limit].any() and not getattr(env, "limit_is_terminal", False)
    require(not confused, f"E2: the time limit {env.max_steps} is told as a termination, every time")


def e3_batching(env: Env) -> None:
    """E3: vmap and nested vmap are the loop."""

    T, N = 12, 4
    keys = _keys(env, 3)

    @jax.jit
    def otherwise(env, k_worlds, k_acts):
        play = lambda k_world, k_act: _play(env, k_world, k_act, T)
        nested = jax.vmap(jax.vmap(play))(k_worlds.reshape(2, 2), k_acts.reshape(2, 2))
        loop = jax.lax.map(lambda keys: play(*keys), (k_worlds, k_acts))
        return loop, jax.tree.map(lambda x: x.reshape(N, *x.shape[2:]), nested)

    loop, nested = otherwise(env, *(k[:N] for k in keys))
    steps, actions = _streams(env, *keys, T=_span(env))
    batched = jax.tree.map(lambda x: x[:N, : T + 1], steps), jax.tree.map(lambda x: x[:N, :T], actions)
    close(batched, loop, atol=1e-6, rtol=1e-6, what="E3: vmap against the loop, ")
    close(nested, loop, atol=1e-6, rtol=1e-6, what="E3: nested vmap against the loop, ")


def e4_keys(env: Env) -> None:
    """E4: the same key, the same stream; different keys differ, whatever the actions."""
    k_worlds, k_acts = _keys(env, 4)
    once, again = _streams_of(env, 4), _streams_of(env, 4)
    close(once, again, atol=0.0, rtol=0.0, what="E4: the same key gives another stream, ")
    if getattr(env, "deterministic", False):
        return
    steps, _ = _streams(env, k_worlds, jnp.broadcast_to(k_acts[0], k_acts.shape), T=_span(env))
    leaves = [np.asarray(x) for x in jax.tree.leaves(steps)]
    same = all(np.array_equal(x, np.broadcast_to(x[:1], x.shape)) for x in leaves)
    require(not same, "E4: all keys give one stream; a world without chance says `deterministic`")


def _at_ends(env: Env, key: Key[Array, ""], T: int) -> tuple[Array, Array, Array]:
    """-> how many `last`s were left, how often the action there mattered, how often what follows is not a reset."""

    def tick(state, key):
        k_act, k_env = jax.random.split(key)
        actions = jax.vmap(lambda key: random_action(key, env.action_space))(jax.random.split(k_act))
        both = jax.vmap(lambda action: env.step(k_env, state, action))(actions)
        one, other = (jax.tree.map(lambda x, i=i: x[i], both) for i in range(2))
        first = one[1].first
        return one[0], (first, first & _differ(one, other), first & _differ(one, env.reset(k_env), 1e-6))

    keys = jax.random.split(key, T)
    _, counts = jax.lax.scan(tick, env.reset(key)[0], keys)
    return jax.tree.map(jnp.sum, counts)


@functools.partial(jax.jit, static_argnames="T")
def _ends(env: Env, key: Key[Array, ""], *, T: int) -> tuple[Array, Array, Array]:
    return jax.tree.map(jnp.sum, jax.vmap(lambda key: _at_ends(env, key, T))(jax.random.split(key, 4)))


def e5_action_at_last(env: Env) -> None:
    """E5: the action at a `last` changes nothing."""
    ends, matters, _ = _ends(env, jax.random.key(6), T=_span(env))
    require(ends > 0 or (env.max_steps or 0) > LONGEST, "E5: no episode ended, so nothing is shown")
    require(matters == 0, f"E5: the action taken at a `last` changes what follows, in {matters} of {ends} ends")


def e6_autoreset(env: Env) -> None:
    """E6: an autoreset at key k is `reset(k)`, where nothing survives an episode; with E3, `lazy` is `select`.
    Floats to 1e-6, for two programs may round in two ways."""
    ends, _, unlike = _ends(env, jax.random.key(6), T=_span(env))
    if not getattr(env, "carries_over", False):
        require(
            unlike == 0, f"E6: the step after a `last` is not what `reset` gives at its key, in {unlike} of {ends} ends"
        )


def e7_one_program(env: Env) -> None:
    """E7: reset, step, step and other numbers in the environment's leaves are one compilation each."""
    weak = [path for path, _, _, weak in _shape(eqx.filter(env, eqx.is_array)) if weak]
    require(not weak, f"E7: weakly typed leaves {weak}: another number would be another program")
    traced: list[str] = []

    def note(name: str, function: Callable) -> Callable:
        def counted(*args):
            traced.append(name)
            return function(*args)

        return jax.jit(counted)

    reset = note("reset", lambda env, key: env.reset(key))
    step = note("step", lambda env, key, state, action: env.step(key, state, action))
    key = jax.random.key(7)
    action = random_action(key, env.action_space)
    other = jax.tree.map(lambda x: x + jnp.ones_like(x) if jnp.issubdtype(x.dtype, jnp.number) else x, env)
    for world in (env, other):
        state, _ = reset(world, key)
        for _ in range(2):
            state, _ = step(world, key, state, action)
    require(traced.count("reset") == 1, f"E7: reset was compiled {traced.count('reset')} times")
    require(traced.count("step") == 1, f"E7: step was compiled {traced.count('step')} times after reset, step, step")


def _programs(x: Any) -> Iterator[tuple[Any, list[Any]]]:
    """-> (jaxpr, constants) of a program and of all that it calls."""
    if isinstance(x, jex.core.ClosedJaxpr):
        yield x.jaxpr, x.consts
        x = [eqn.params for eqn in x.jaxpr.eqns]
    elif isinstance(x, jex.core.Jaxpr):
        yield x, []
        x = [eqn.params for eqn in x.eqns]
    elif isinstance(x, dict):
        x = list(x.values())
    if isinstance(x, list | tuple):
        for part in x:
            yield from _programs(part)


def e8_no_callbacks(env: Env) -> None:
    """E8: nothing calls back to Python, and no large constant is baked into the program."""
    key = jax.random.key(8)
    state, _ = jax.eval_shape(env.reset, key)
    action = jax.eval_shape(lambda key: random_action(key, env.action_space), key)
    programs = {
        "reset": jax.make_jaxpr(lambda env, key: env.reset(key))(env, key),
        "step": jax.make_jaxpr(lambda env, key, state, action: env.step(key, state, action))(env, key, state, action),
    }
    for name, program in programs.items():
        size = 0
        for jaxpr, constants in _programs(program):
            size += sum(getattr(x, "nbytes", 0) for x in constants)
            calls = [eqn.primitive.name for eqn in jaxpr.eqns if "callback" in eqn.primitive.name]
            require(
                not calls, f"E8: {name} calls back to Python ({', '.join(calls)}): streams would share what is there"
            )
        require(
            size < LARGEST_CONSTANT, f"E8: {name} has {size} bytes of constants; make them leaves of the environment"
        )


def e9_finite(env: Env) -> None:
    """E9: observations and rewards are finite over 10,000 random steps."""
    steps, _ = _streams_of(env, 9)
    for path, x in jax.tree_util.tree_leaves_with_path((steps.obs, steps.reward)):
        if not jnp.issubdtype(x.dtype, jnp.floating):
            continue
        bad = np.argwhere(~np.isfinite(np.asarray(x, np.float64)))
        where = f"stream {bad[0][0]}, step {bad[0][1]}" if len(bad) else ""
        require(
            not len(bad),
            f"E9: {len(bad)} of {x.size} numbers at {jax.tree_util.keystr(path)} are not finite, first {where}",
        )


LAWS: dict[str, Callable[[Env], None]] = {
    "E1": e1_spaces,
    "E2": e2_ends,
    "E3": e3_batching,
    "E4": e4_keys,
    "E5": e5_action_at_last,
    "E6": e6_autoreset,
    "E7": e7_one_program,
    "E8": e8_no_callbacks,
    "E9": e9_finite,
    "E10": e10_lazy,
}
