"""The laws of learners, L1, L2, L4, L5, masks and B1, as functions of what learns. T time, B streams, A actions.

Each takes the part of a learner that it is about - an update, a run, a builder - by default ours; L1 and L2 are those
of `laws/losses.py`.
"""

import dataclasses
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from romanesco.agent.agent import build
from romanesco.agent.encoders.vector import Linear
from romanesco.agent.normalize import Normalizer
from romanesco.agent.rollout import act, collect, start
from romanesco.core.mesh import Seeds
from romanesco.core.spaces import Box, Discrete, MultiDiscrete
from romanesco.core.types import Rollout
from romanesco.laws.collector import case, fresh
from romanesco.laws.losses import PLAIN, l1_advantages, l2_loss, random_steps
from romanesco.laws.verdict import close, require
from romanesco.learn import ppo
from romanesco.learn.ppo import Hyper
from romanesco.learn.train import Setup, finite, train
from romanesco.memory import GRU

SEEDS = (5, 6, 7)


def _played(T: int = 16, B: int = 4):
    """-> a learner and a rollout of the T-Maze."""
    env, agent = case("tmaze", "gru")
    opt = ppo.optimizer()
    learner = ppo.init(agent, opt, Normalizer.of(env.observation_space, obs=True, reward=True))
    streams = start(jax.random.key(3), env, learner.actor, B)
    play = jax.jit(collect, static_argnums=4)
    return learner, play(jax.random.key(4), env, learner.actor, streams, T)[1], opt


def l4_seeds(run: Callable = train) -> None:
    """L4: a seed among many is the seed alone, bit for bit on a CPU: it depends on its own key, on nobody else's."""
    env, _ = case("tmaze", "gru")
    hp = Hyper(learning_rate=jnp.float32(1e-3), epochs=1, minibatches=2)
    setup = Setup(env, hp, ppo.optimizer(), num_envs=4, horizon=8, normalize=("obs", "reward"))
    one = lambda key: run(key, lambda key: fresh(key, env, "gru"), setup, 2)
    keys = list(map(jax.random.key, SEEDS))
    with ThreadPoolExecutor(2) as pool:
        many = Seeds(one, workers=pool)
        many.compile(pool, keys)
        together = many(keys)
    alone = jax.jit(one)
    for seed, key, got in zip(SEEDS, keys, together, strict=True):
        close(got, alone(key), atol=0.0, rtol=0.0, what=f"L4: seed {seed} among three against seed {seed} alone, ")
    a, b = (np.asarray(state.learner.agent.critic.out.weight) for state, _ in together[:2])
    require(not np.allclose(a, b), "L4: different seeds learn the same")


def l5_batched(update: Callable = ppo.update) -> None:
    """L5: hyperparameters batched by vmap give what a loop over them gives, and each of them matters."""
    learner, rollout, opt = _played()
    steady = Hyper(
        learning_rate=1e-2, gamma=0.9, lam=0.9, clip=0.02, value_clip=0.05, value_cost=0.5, entropy_cost=0.01,
        epochs=2, minibatches=2,
    )  # fmt: skip
    names = [f.name for f in dataclasses.fields(steady) if not f.metadata.get("static")]
    settings = [steady, *(dataclasses.replace(steady, **{n: 0.6 * getattr(steady, n)}) for n in names)]
    batch = jax.tree.map(lambda *xs: jnp.stack([jnp.asarray(x, jnp.float32) for x in xs]), *settings)
    one = jax.jit(lambda hp: update(jax.random.key(6), learner, rollout, opt, hp)[0].agent)
    together = jax.jit(jax.vmap(one))(batch)
    for n, name in enumerate(["none", *names]):
        alone = one(jax.tree.map(lambda x, n=n: x[n], batch))
        agent = jax.tree.map(lambda x, n=n: x[n], together)
        close(agent, alone, atol=1e-4, rtol=1e-3, what=f"L5: batched against alone where {name} differs, ")
        first = alone if n == 0 else first
        moved = max(float(jnp.abs(x - y).max()) for x, y in zip(*map(jax.tree.leaves, (alone, first)), strict=True))
        require(n == 0 or moved > 1e-5, f"L5: {name} reaches no parameter")


def _joint(space: Discrete | MultiDiscrete) -> tuple[np.ndarray, np.ndarray]:
    """-> every action [J ...], and which entries of `allowed` each of them needs [J A]."""
    sizes = (space.n,) if isinstance(space, Discrete) else space.sizes
    every = np.stack([x.ravel() for x in np.indices(sizes)], -1)
    needs = np.concatenate([np.eye(n, dtype=bool)[every[:, k]] for k, n in enumerate(sizes)], -1)
    return every[:, 0] if isinstance(space, Discrete) else every, needs


def _masked(build: Callable, space: Discrete | MultiDiscrete, T: int = 12, B: int = 4):
    """-> an agent, and a rollout of random observations whose masks now and then allow nothing."""
    A = space.n if isinstance(space, Discrete) else sum(space.sizes)
    spaces = {"allowed": Box((A,), bool, False, True), "x": Box((3,))}
    eye, cell = functools.partial(Linear, width=4), functools.partial(GRU, units=4)
    agent = build(jax.random.key(8), spaces, space, encoder=eye, memory=cell, head_gain=1.0)
    k_mask, k_x, k_act = jax.random.split(jax.random.key(9), 3)
    allowed = jax.random.bernoulli(k_mask, 0.4, (T + 1, B, A)).at[::4].set(False)
    steps = random_steps(3, T, B, {"allowed": allowed, "x": jax.random.normal(k_x, (T + 1, B, 3))})
    begin = jnp.zeros((B, 4))

    def one(carry, x):
        carry, *said = act(x[0], agent, carry, x[1])
        return carry, said

    _, (action, log_prob, value) = jax.lax.scan(one, begin, (jax.random.split(k_act, T + 1), steps))
    return agent, Rollout(steps, action[:-1], log_prob[:-1], value, begin)


def masks(build: Callable = build) -> None:
    """Masks: a forbidden action has probability 0, the others sum to 1, all gradients are finite, replay is acting."""
    for space in (Discrete(5), MultiDiscrete((2, 3))):
        agent, rollout = _masked(build, space)
        every, needs = _joint(space)
        sizes = (space.n,) if isinstance(space, Discrete) else space.sizes
        parts = np.split(np.asarray(rollout.steps.obs["allowed"][:-1]), np.cumsum(sizes)[:-1], -1)
        allowed = np.concatenate([part | ~part.any(-1, keepdims=True) for part in parts], -1)
        forbidden = (needs & ~allowed[..., None, :]).any(-1)
        adv, hp = jax.random.normal(jax.random.key(10), rollout.log_prob.shape), Hyper(entropy_cost=0.1)
        chance, grads, terms = _said(agent, rollout, adv, hp, every)
        require((np.asarray(chance)[forbidden] == 0).all(), f"masks: a forbidden action of {space} has a chance")
        close(chance.sum(-1), np.ones(chance.shape[:2], np.float32), what=f"masks: all chances of {space}, summed,")
        require(finite((grads, terms)), f"masks: a gradient or a term of the loss is not finite, {space}")
        require(terms["off_policy"] < 1e-5, f"masks: replay differs from acting by {terms['off_policy']}, {space}")


@jax.jit
def _said(agent, rollout: Rollout, adv, hp: Hyper, every) -> tuple[Float[Array, "T B J"], PyTree, PyTree]:
    """-> the probability of every action, gradients and terms of the loss."""
    dist = ppo.replay(agent, rollout).dist
    chance = jax.vmap(jax.vmap(lambda d: jax.vmap(lambda a: jnp.exp(d.log_prob(a)))(every)))(dist)
    return chance, *eqx.filter_grad(ppo.loss, has_aux=True)(agent, PLAIN, rollout, adv, hp)


SIZES = {"encoder": 6, "memory": 7, "actor_hidden": (5,), "critic_hidden": (9, 8), "act": "tanh", "head_gain": 0.01,
         "log_std": 0.0}  # fmt: skip
OWNED = {
    "encoder": (4, (".encoder.", ".memory.enter.weight")),
    "memory": (3, (".memory.", ".actor.layers[0].weight", ".critic.layers[0].weight")),
    "actor_hidden": ((4,), (".actor.",)),
    "critic_hidden": ((3, 8), (".critic.layers[0].", ".critic.layers[1].weight")),
    "act": ("relu", ()),
    "head_gain": (1.0, ()),
    "log_std": (-1.0, ()),
}  # another value of each field, and the parameters whose shapes it owns


def b1_as_asked(build: Callable = build) -> None:
    """B1: changing one field of an agent changes exactly the parameter shapes that the field owns."""

    def shapes(**fields) -> dict[str, tuple[int, ...]]:
        fields["encoder"] = functools.partial(Linear, width=fields["encoder"])
        fields["memory"] = functools.partial(GRU, units=fields["memory"])
        make = lambda key: build(key, Box((2,)), Box((3,)), **fields)
        leaves = jax.tree_util.tree_leaves_with_path(eqx.filter_eval_shape(make, jax.random.key(0)))
        return {jax.tree_util.keystr(path): x.shape for path, x in leaves}

    base = shapes(**SIZES)
    for field, (value, owned) in OWNED.items():
        other = shapes(**SIZES | {field: value})
        changed = sorted(k for k in base.keys() | other.keys() if base.get(k) != other.get(k))
        stolen = [path for path in changed if not path.startswith(owned)]
        require(not stolen, f"B1: {field} changes {stolen}, which it does not own")
        deaf = [part for part in owned if not any(path.startswith(part) for path in changed)]
        require(not deaf, f"B1: {field} changes nothing in {deaf}")


LAWS: dict[str, Callable[..., None]] = {
    "L1": l1_advantages,
    "L2": l2_loss,
    "L4": l4_seeds,
    "L5": l5_batched,
    "masks": masks,
    "B1": b1_as_asked,
}
