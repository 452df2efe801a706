"""Collecting what a learner sees, inside the program. T time, B streams."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from romanesco.core.actions import enter
from romanesco.core.types import Actor, Carry, Env, EnvState, Rollout, TimeStep


class Streams(eqx.Module):
    """Where B parallel episodes stand."""

    env_state: EnvState  # [B ...]
    carry: Carry  # [B ...] the memory before it reads `ts`
    ts: TimeStep  # [B ...]


class Tally(eqx.Module):
    """The episodes that ended during a rollout: how many, and the sums of their metrics."""

    episodes: Float[Array, ""]
    sums: dict[str, Float[Array, ""]]


def scores(env: Env, state: EnvState) -> dict[str, Float[Array, ""]]:
    """The environment's metrics; where it names no `success`, that is a return of at least its threshold."""
    metrics = dict(env.metrics(state))
    if "success" not in metrics and env.threshold is not None:
        metrics["success"] = (metrics["return"] >= env.threshold).astype(jnp.float32)
    return metrics


def start(key: Key[Array, ""], env: Env, actor: Actor, num_envs: int) -> Streams:
    """Fresh episodes and empty memories."""
    env_state, ts = jax.vmap(env.reset)(jax.random.split(key, num_envs))
    carry = jax.tree.map(lambda x: jnp.broadcast_to(x, (num_envs, *x.shape)), actor.init_carry())
    return Streams(env_state, carry, ts)


def act(
    key: Key[Array, ""], actor: Actor, carry: Carry, ts: TimeStep
) -> tuple[Carry, PyTree[Array], Float[Array, "B"], Float[Array, "B"]]:
    """One sampled action for each of B streams -> carry, action, its log_prob, value."""

    def one(key, carry, obs, first):
        carry, said = actor.step(carry, obs, first)
        action = said.dist.sample(key)
        return carry, action, said.dist.log_prob(action), said.value.mean()

    keys = jax.random.split(key, ts.reward.shape[0])
    return jax.vmap(one)(keys, carry, ts.obs, ts.first)


def collect(
    key: Key[Array, ""], env: Env, actor: Actor, streams: Streams, horizon: int
) -> tuple[Streams, Rollout, Tally]:
    """T steps of every stream; pure, so that it runs under jit, vmap, grad and any sharding."""

    def one(before: tuple[Streams, Tally], key):
        streams, tally = before
        k_act, k_env = jax.random.split(key)
        carry, action, log_prob, value = act(k_act, actor, streams.carry, streams.ts)
        keys = jax.random.split(k_env, log_prob.shape[0])
        env_state, ts = jax.vmap(env.step)(keys, streams.env_state, enter(env.action_space, action))
        tally = count(tally, ts, jax.vmap(partial(scores, env))(env_state))
        return (Streams(env_state, carry, ts), tally), (streams.ts, action, log_prob, value)

    names = jax.eval_shape(jax.vmap(partial(scores, env)), streams.env_state)
    empty = Tally(jnp.zeros(()), {name: jnp.zeros(()) for name in names})
    (after, tally), seen = jax.lax.scan(one, (streams, empty), jax.random.split(key, horizon))
    return after, finish(actor, streams.carry, after, *seen), tally


def count(tally: Tally, ts: TimeStep, metrics: dict[str, Float[Array, "B"]]) -> Tally:
    """The tally with the episodes that end at `ts`."""
    sums = {name: total + jnp.where(ts.last, metrics[name], 0.0).sum() for name, total in tally.sums.items()}
    return Tally(tally.episodes + ts.last.sum(), sums)


def finish(
    actor: Actor, carry: Carry, after: Streams, steps: TimeStep, action: PyTree, log_prob: Array, value: Array
) -> Rollout:
    """The Rollout of T recorded steps, the step they end on, and its value."""

    def judge(carry, obs, first):
        return actor.step(carry, obs, first)[1].value.mean()

    last_value = jax.vmap(judge)(after.carry, after.ts.obs, after.ts.first)
    steps, value = jax.tree.map(lambda xs, x: jnp.concatenate([xs, x[None]]), (steps, value), (after.ts, last_value))
    return Rollout(steps, action, log_prob, value, carry)
