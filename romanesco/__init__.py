"""romanesco: reinforcement-learning agents that attend, remember, imagine and plan.

`import romanesco as rm` is light: JAX is imported by the first name that needs it.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from romanesco.api import attention as attention
    from romanesco.api import compare as compare
    from romanesco.api import load as load
    from romanesco.api import make as make
    from romanesco.api import train as train

_API = ("attention", "compare", "load", "make", "train")


def __getattr__(name: str) -> Any:
    if name in _API:
        from romanesco import api

        return getattr(api, name)
    raise AttributeError(f"module 'romanesco' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_API])
