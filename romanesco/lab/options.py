"""The options of the groups, one dataclass each; those of `env` are in `lab/worlds.py`, of `memory` in
`lab/memories.py`. Needs no JAX."""

from dataclasses import dataclass
from typing import ClassVar

from romanesco.agent.encoders.choices import CONTROLS, POOLS
from romanesco.lab.fields import Option, key, positive, size
from romanesco.lab.libraries import LIBRARIES
from romanesco.lab.memories import MEMORIES, Memory
from romanesco.lab.tasks import TASKS
from romanesco.lab.worlds import WORLDS, Environment, GivenEnvironment

ACTS = ("tanh", "relu", "gelu", "silu", "none")
INF = float("inf")


@dataclass
class Encoder(Option):
    """What turns an observation into a vector of features."""


class Identity(Encoder):
    """The observation itself, as one vector."""

    name = "identity"


@dataclass
class Linear(Encoder):
    """One dense layer."""

    name: ClassVar[str] = "linear"
    width: int = size(128, "features")
    act: str = key("relu", "activation", choices=ACTS)


@dataclass
class Mlp(Encoder):
    """Dense layers."""

    name: ClassVar[str] = "mlp"
    hidden: list[int] = key([64, 64], "widths of the layers", least=1)  # noqa: RUF009
    act: str = key("tanh", "activation", choices=ACTS)


@dataclass
class Cnn(Encoder):
    """Three convolutions and a dense layer, for images (Mnih et al., 2015)."""

    name: ClassVar[str] = "cnn"
    width: int = size(128, "features")
    scale: bool = key(True, "bytes are divided by 255; false: they are read as they are")


@dataclass
class Attends(Encoder):
    """What encoders that attend to tokens have in common."""

    width: int = size(64, "width of a token, and features")
    heads: int = size(4, "heads of a layer; they divide the width")
    layers: int = size(1, "blocks of self-attention")
    mlp_ratio: int = size(2, "hidden width of a block's dense layers over its width")
    pool: str = key(
        "attention", "what makes one vector of the tokens; before, after: a query of the memory", choices=POOLS
    )
    control: str = key("none", "what stands in for learned attention, to be compared with it", choices=CONTROLS)


@dataclass
class Attention(Attends):
    """Attention over the features of a vector, or over stacked frames."""

    name: ClassVar[str] = "attention"
    tokens: list[list[int]] = key([], "features that share a token; []: one token each", least=0)  # noqa: RUF009
    position: str = key("learned", "of frames, with env.stack", choices=("learned", "sinusoidal"))


@dataclass
class Patches(Attends):
    """Attention over the patches of an image, or over the cells of a grid."""

    name: ClassVar[str] = "patches"
    patch: int = size(8, "pixels of a patch's side, dividing the image's; 1: cells")


@dataclass
class Entities(Attends):
    """Attention over a set {entities, alive, self}, in any order."""

    name: ClassVar[str] = "entities"


@dataclass
class Cross(Attends):
    """Learned queries that read a dict of modalities."""

    name: ClassVar[str] = "cross"
    queries: int = key(8, "learned queries", least=2)
    patch: int = size(8, "pixels of a patch's side in images")


@dataclass
class Algorithm(Option):
    """How a rollout changes the agent."""

    learning_rate: float = positive(3e-4, "step size of Adam")
    gamma: float = key(0.99, "discount of a step", least=0, most=1)
    lam: float = key(0.95, "decay of generalized advantage estimation", least=0, most=1)
    horizon: int = size(128, "steps of each stream in a rollout")
    epochs: int = size(4, "passes over a rollout")
    minibatches: int = size(4, "parts of a rollout: of its streams, or of its samples with memory=none")
    shuffle_groups: int | str = size("auto", "blocks of streams that are shuffled apart", words=("auto",))  # type: ignore[arg-type]
    clip: float = positive(0.2, "bound of |ratio - 1|; inf: none", finite=False)
    value_clip: float = positive(INF, "bound of a value's change; inf: none", finite=False)
    value_cost: float = key(0.5, "weight of the value error", least=0)
    entropy_cost: float = key(0.0, "weight of the entropy", least=0)
    max_grad_norm: float = positive(0.5, "bound of the gradient's norm; inf: none", finite=False)
    adam_eps: float = positive(1e-5, "epsilon of Adam")
    anneal: list[str] = key([], "what goes linearly to 0", choices=("learning_rate", "clip", "entropy_cost"))  # noqa: RUF009
    normalize: str = key("none", "what is divided by running statistics", choices=("none", "obs", "reward", "both"))
    normalize_advantages: bool = key(True, "advantages have mean 0 and deviation 1 in each minibatch")


class Ppo(Algorithm):
    """Proximal policy optimization (Schulman et al., 2017)."""

    name = "ppo"


@dataclass
class A2c(Algorithm):
    """Advantage actor-critic (Mnih et al., 2016): one step on the whole rollout, nothing clipped."""

    name: ClassVar[str] = "a2c"
    epochs: int = size(1, "passes over a rollout")
    minibatches: int = size(1, "parts of a rollout: of its streams, or of its samples with memory=none")
    clip: float = positive(INF, "bound of |ratio - 1|; inf: none", finite=False)
    normalize_advantages: bool = key(False, "advantages have mean 0 and deviation 1 in each minibatch")


class GivenMemory(Memory):
    """A memory that came as an object."""

    name = "object"


class GivenEncoder(Encoder):
    """An encoder that came as an object."""

    name = "object"


def _by_name(*options: type[Option]) -> dict[str, type[Option]]:
    return {option.name: option for option in options}


BASES: dict[str, type[Option]] = {"env": Environment, "memory": Memory, "encoder": Encoder, "algorithm": Algorithm}
GROUPS: dict[str, dict[str, type[Option]]] = {
    "env": _by_name(*WORLDS, *TASKS, *LIBRARIES),
    "memory": _by_name(*MEMORIES),
    "encoder": _by_name(Identity, Linear, Mlp, Cnn, Attention, Patches, Entities, Cross),
    "algorithm": _by_name(Ppo, A2c),
}
GIVEN: dict[str, type[Option]] = {"env": GivenEnvironment, "memory": GivenMemory, "encoder": GivenEncoder}
