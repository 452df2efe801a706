"""Actors and critics around a memory, and the ways they meet a world."""

from romanesco.core.registry import Registry

ENCODERS = Registry(
    "encoder",
    {
        "identity": "romanesco.agent.encoders.vector:Identity",
        "linear": "romanesco.agent.encoders.vector:Linear",
        "mlp": "romanesco.agent.encoders.vector:Mlp",
        "cnn": "romanesco.agent.encoders.image:Cnn",
        "attention": "romanesco.agent.encoders.attention:Attention",
        "patches": "romanesco.agent.encoders.attention:Patches",
        "entities": "romanesco.agent.encoders.attention:Entities",
        "cross": "romanesco.agent.encoders.cross:Cross",
    },
)
