"""What a critic says of the return to come."""

import equinox as eqx
from jaxtyping import Array, Float


class Point(eqx.Module):
    """One number: the expected return."""

    number: Float[Array, "*n"]

    def mean(self) -> Float[Array, "*n"]:
        return self.number

    def error(self, target: Float[Array, "*n"]) -> Float[Array, "*n"]:
        """Half the squared error."""
        return 0.5 * (self.number - target) ** 2
