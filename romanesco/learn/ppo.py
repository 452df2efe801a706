"""Proximal policy optimization (Schulman et al., 2017), written once; A2C is a setting of it.

T time, B streams, E epochs, M minibatches, G shuffle groups of n = B / G streams.
"""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from einops import rearrange
from jaxtyping import Array, Float, Int, Key

from romanesco.agent.normalize import Normalized, Normalizer
from romanesco.core.types import Actor, Metrics, Output, Rollout
from romanesco.learn.gae import advantages

Number = Float[Array, "*p"] | float  # a leaf: a batch of them is a population
Aux = Callable[[Actor, Output, Rollout, "Hyper"], tuple[Float[Array, ""], Metrics]]


class Hyper(eqx.Module):
    """Numbers are leaves: vmap over them, differentiate in them. Sizes are static."""

    learning_rate: Number = 3e-4
    gamma: Number = 0.99
    lam: Number = 0.95
    clip: Number = 0.2  # inf: never
    value_clip: Number | None = None
    value_cost: Number = 0.5
    entropy_cost: Number = 0.0
    epochs: int = eqx.field(static=True, default=4)
    minibatches: int = eqx.field(static=True, default=4)
    shuffle_groups: int = eqx.field(static=True, default=1)
    normalize_advantages: bool = eqx.field(static=True, default=True)


class Learner(eqx.Module):
    """What a run learns. The normalizer is no parameter: the optimizer never sees it."""

    agent: Actor
    opt_state: optax.OptState
    normalizer: Normalizer

    @property
    def actor(self) -> Normalized:
        """What acts and is replayed: the agent behind the normalizer, frozen."""
        return Normalized(self.normalizer, self.agent)


def optimizer(*, max_grad_norm: float = 0.5, adam_eps: float = 1e-5) -> optax.GradientTransformation:
    """A direction: Adam behind a clip of the global norm. `update` multiplies it by the learning rate, a leaf."""
    return optax.chain(optax.clip_by_global_norm(max_grad_norm), optax.scale_by_adam(eps=adam_eps))


def init(agent: Actor, opt: optax.GradientTransformation, normalizer: Normalizer) -> Learner:
    return Learner(agent, opt.init(eqx.filter(agent, eqx.is_inexact_array)), normalizer)


def memoryless(rollout: Rollout) -> bool:
    """Whether the agent carries nothing: then samples, not streams, may be shuffled."""
    return not jax.tree.leaves(rollout.carry)


def replay(actor: Actor, rollout: Rollout) -> Output:
    """What the agent says now about the steps it took, from the memory it had -> Output of [T B]."""
    steps = rollout.steps
    run = jax.vmap(actor.sequence, in_axes=(0, 1, 1), out_axes=(0, 1))
    return run(rollout.carry, jax.tree.map(lambda x: x[:-1], steps.obs), steps.first[:-1])[1]


def loss(
    agent: Actor,
    normalizer: Normalizer,
    rollout: Rollout,
    adv: Float[Array, "T B"],
    hp: Hyper,
    aux: Sequence[Aux] = (),
) -> tuple[Float[Array, ""], Metrics]:
    """Clipped surrogate + value_cost * value error - entropy_cost * entropy + aux, means over live steps.

    A step that is a `last` is not live: its action was ignored. Advantages are normalized over the minibatch.
    """
    said = replay(Normalized(normalizer, agent), rollout)
    both = lambda f: jax.vmap(jax.vmap(f))
    log_prob = both(lambda d, a: d.log_prob(a))(said.dist, rollout.action)
    live = 1.0 - rollout.steps.last[:-1]
    alive = jnp.maximum(live.sum(), 1)
    mean = lambda x: jnp.sum(live * x) / alive

    log_ratio = jnp.where(live > 0, log_prob - rollout.log_prob, 0.0)
    ratio = jnp.exp(log_ratio)
    target = adv + rollout.value[:-1]
    if hp.normalize_advantages:
        adv = (adv - mean(adv)) / jnp.sqrt(mean((adv - mean(adv)) ** 2) + 1e-8)
    policy = -mean(jnp.minimum(ratio * adv, jnp.clip(ratio, 1 - hp.clip, 1 + hp.clip) * adv))
    value = mean(_value_error(said.value, rollout.value[:-1], target, hp.value_clip))
    entropy = mean(both(lambda d: d.entropy())(said.dist))
    total = policy + hp.value_cost * value - hp.entropy_cost * entropy

    metrics = {
        "policy_loss": policy,
        "value_loss": value,
        "entropy": entropy,
        "approx_kl": mean(ratio - 1 - log_ratio),
        "clip_fraction": mean(jnp.abs(ratio - 1) > hp.clip),
        "off_policy": jnp.max(live * jnp.abs(ratio - 1)),
    }
    for term in aux:
        extra, more = term(agent, said, rollout, hp)
        total, metrics = total + extra, metrics | more
    return total, metrics


def _value_error(value, old, target, clip):
    """The worse of the plain error and that of the value held within `clip` of the recorded one."""
    error = value.error(target)
    if clip is None:
        return error
    near = old + jnp.clip(value.mean() - old, -clip, clip)
    return jnp.maximum(error, type(value)(near).error(target))


def as_samples(rollout: Rollout) -> Rollout:
    """T steps of B streams as rollouts of one step: T becomes 1, and stream b becomes T samples side by side."""
    pair = lambda x: rearrange(jnp.stack([x[:-1], x[1:]]), "two t b ... -> two (b t) ...")
    flat = lambda x: rearrange(x, "t b ... -> 1 (b t) ...")
    steps, value = jax.tree.map(pair, (rollout.steps, rollout.value))
    action, log_prob = jax.tree.map(flat, (rollout.action, rollout.log_prob))
    return Rollout(steps, action, log_prob, value, rollout.carry)


def deal(key: Key[Array, ""], size: int, hp: Hyper) -> Int[Array, "M G part"]:
    """Which of `size` streams (or samples) go into which minibatch: each of G blocks is permuted by a key of its own
    and cut into M parts; minibatch m is part m of every block. So the numbers depend on G, never on devices."""
    n = size // hp.shuffle_groups
    order = jax.vmap(lambda k: jax.random.permutation(k, n))(jax.random.split(key, hp.shuffle_groups))
    return rearrange(order, "g (m part) -> m g part", m=hp.minibatches)


def _pick(x: Array, order: Int[Array, "G part"], axis: int) -> Array:
    """The streams `order` of each block of axis `axis`."""
    blocks = x.reshape(*x.shape[:axis], order.shape[0], -1, *x.shape[axis + 1 :])
    taken = jax.vmap(lambda x, i: jnp.take(x, i, axis), (axis, 0), axis)(blocks, order)
    return taken.reshape(*x.shape[:axis], -1, *x.shape[axis + 1 :])


def part_of(rollout: Rollout, adv: Float[Array, "T B"], order: Int[Array, "G part"]) -> tuple[Rollout, Array]:
    """A minibatch: the chosen streams, with the memories they started from."""
    time_major = eqx.tree_at(lambda r: r.carry, rollout, None)
    part, adv = jax.tree.map(lambda x: _pick(x, order, 1), (time_major, adv))
    carry = jax.tree.map(lambda x: _pick(x, order, 0), rollout.carry)
    return eqx.tree_at(lambda r: r.carry, part, carry, is_leaf=lambda x: x is None), adv


def update(
    key: Key[Array, ""],
    learner: Learner,
    rollout: Rollout,
    opt: optax.GradientTransformation,
    hp: Hyper,
    *,
    aux: Sequence[Aux] = (),
) -> tuple[Learner, Metrics]:
    """All epochs over one raw rollout -> learner, metrics (means; `off_policy` of the first minibatch).

    A minibatch is whole streams, since a memory needs its past; of an agent that carries nothing, single samples.
    """
    rollout = learner.normalizer.scaled(rollout)
    adv = advantages(rollout, hp.gamma, hp.lam)
    spread = explained_variance(rollout, adv)
    if memoryless(rollout):
        rollout, adv = as_samples(rollout), rearrange(adv, "t b -> 1 (b t)")
    gradient = eqx.filter_value_and_grad(loss, has_aux=True)

    def minibatch(now, order):
        agent, opt_state = now
        part, part_adv = part_of(rollout, adv, order)
        (_, metrics), grads = gradient(agent, learner.normalizer, part, part_adv, hp, aux)
        step, opt_state = opt.update(grads, opt_state, eqx.filter(agent, eqx.is_inexact_array))
        step = jax.tree.map(lambda d: -hp.learning_rate * d, step)
        metrics = metrics | {"grad_norm": optax.tree.norm(grads)}
        return (eqx.apply_updates(agent, step), opt_state), metrics

    def epoch(now, key):
        return jax.lax.scan(minibatch, now, deal(key, adv.shape[1], hp))

    keys = jax.random.split(key, hp.epochs)
    (agent, opt_state), metrics = jax.lax.scan(epoch, (learner.agent, learner.opt_state), keys)
    first = metrics["off_policy"][0, 0]
    metrics = jax.tree.map(jnp.mean, metrics) | {"off_policy": first, "explained_variance": spread}
    return Learner(agent, opt_state, learner.normalizer), metrics | {"learning_rate": jnp.asarray(hp.learning_rate)}


def explained_variance(rollout: Rollout, adv: Float[Array, "T B"]) -> Float[Array, ""]:
    """1 - Var(target - V) / Var(target) over live steps; the targets are adv + V. 0 where they do not vary."""
    live = 1.0 - rollout.steps.last[:-1]
    mean = lambda x: jnp.sum(live * x) / jnp.maximum(live.sum(), 1)
    target = adv + rollout.value[:-1]
    var = lambda x: mean((x - mean(x)) ** 2)
    return jnp.where(var(target) > 0, 1 - var(adv) / jnp.where(var(target) > 0, var(target), 1), 0.0)
