"""What changes an agent: losses, updates, whole runs. Sees protocols, not cells or worlds."""

from romanesco.core.registry import Registry

ALGORITHMS = Registry("algorithm", {"ppo": "romanesco.learn.ppo:update", "a2c": "romanesco.learn.ppo:update"})
