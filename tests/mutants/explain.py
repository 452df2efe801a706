"""A leaky sum that shows its weights, 0.9^age, soundly; and mutants whose explanation breaks one law each."""

import jax.numpy as jnp

from mutants.memory import Leaky


class Shown(Leaky):
    """Sound, until a subclass overrides a method. One head."""

    def explain(self, carry, xs, first):
        after, ys = self.sequence(carry, xs, first)
        t, episode, values = jnp.arange(len(first)), jnp.cumsum(first), xs @ self.weight.T
        seen = (episode[:, None] == episode) & (t[:, None] >= t)
        weights = jnp.where(seen, 0.9 ** (t[:, None] - t), 0.0)
        carried = jnp.where(episode[:, None] == 0, 0.9 ** (t[:, None] + 1) * carry, 0.0)
        a = weights @ values + carried
        before = (carried * a).sum(-1) / (a**2).sum(-1)
        maps = {"signed": weights, "before": before, "values": values, "read": a}
        return after, ys, self.show({name: x[None] for name, x in maps.items()})

    def show(self, maps):
        return maps


class Louder(Shown):
    """Shows outputs that it does not give."""

    def explain(self, carry, xs, first):
        after, ys, maps = super().explain(carry, xs, first)
        return after, 1.001 * ys, maps


class Prophetic(Shown):
    """Weights by writing and reading step, the wrong way round."""

    def show(self, maps):
        return {**maps, "signed": maps["signed"].swapaxes(-1, -2)}


class Posing(Shown):
    """Any weights as if they were a softmax."""

    def show(self, maps):
        return {**{name: x for name, x in maps.items() if name != "signed"}, "attention": maps["signed"]}


class Fresh(Shown):
    """Explains as if nothing had come before."""

    def explain(self, carry, xs, first):
        maps = super().explain(jnp.zeros_like(carry), xs, first)[2]
        return *self.sequence(carry, xs, first), maps


class Tidy(Shown):
    """Rows made to sum to 1."""

    def show(self, maps):
        return {**maps, "signed": maps["signed"] / maps["signed"].sum(-1, keepdims=True)}


class Forgetful(Shown):
    """Tells the carry's share half."""

    def show(self, maps):
        return {**maps, "before": maps["before"] / 2}


BROKEN = [
    (Louder, "A1"),
    (Prophetic, "A2"),
    (Posing, "A2"),
    (Fresh, "A2"),
    (Tidy, "A8"),
    (Forgetful, "A8"),
]
