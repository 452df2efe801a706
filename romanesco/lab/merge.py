"""Hydra as the merger, inside programs that may use Hydra themselves."""

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from romanesco.core.errors import BadInput
from romanesco.lab.config import Config
from romanesco.lab.fields import Option

HYDRAS_OWN = ("hydra", "_dummy_empty_config_.yaml")  # what Hydra stores when it is imported
_ALONE = threading.RLock()  # Hydra's state is one for all threads


@contextlib.contextmanager
def private_hydra() -> Iterator[None]:
    """Fresh global state of Hydra and OmegaConf within; the host's own objects, not copies, afterwards."""
    from hydra._internal.sources_registry import SourcesRegistry
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins
    from hydra.core.singleton import Singleton
    from omegaconf.basecontainer import BaseContainer

    with _ALONE:
        plugins: dict[type, Any] = {
            cls: cls.instance() for cls in (Plugins, SourcesRegistry)
        }  # found by a scan, and only read
        theirs, instances, resolvers = ConfigStore.instance(), Singleton._instances, BaseContainer._resolvers
        Singleton._instances, BaseContainer._resolvers = dict(plugins), dict(resolvers)
        ConfigStore.instance().repo = {k: v for k, v in theirs.repo.items() if k in HYDRAS_OWN}
        try:
            yield
        finally:
            Singleton._instances, BaseContainer._resolvers = instances, resolvers


def merge(choices: Mapping[str, type[Option]], layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Dataclass defaults, then each layer (values by dotted key) -> nested plain data, references resolved."""
    from hydra import compose, initialize
    from hydra.core.config_store import ConfigStore
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    with private_hydra():
        store = ConfigStore.instance()
        store.store(name="schema", node=Config)
        for group, option in choices.items():
            store.store(group=group, name="chosen", node=option)  # its own name may hold what Hydra cannot read
        order = [f"layer{i}" for i in range(len(layers))]
        for name, layer in zip(order, layers, strict=True):
            store.store(name=name, node=nested(layer))
        chosen = [{group: "chosen"} for group in choices]
        store.store(name="all", node={"defaults": [*chosen, "schema", *order, "_self_"]})
        try:
            with initialize(config_path=None, job_name="romanesco", version_base="1.3"):
                made = OmegaConf.to_container(compose("all"), resolve=True, throw_on_missing=True)
        except (HydraException, OmegaConfBaseException, RecursionError) as error:
            raise BadInput(_first_line(error)) from None
    return made  # type: ignore[return-value]


def _first_line(error: BaseException) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, RecursionError) or "Recursive" in text:
        text = "keys refer to each other by ${...}; give one of them a value"
    key = getattr(error, "full_key", None)
    return f"{key}: {text}" if key else text


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """{"a.b": 1, "c": 2} -> {"a": {"b": 1}, "c": 2}; dotted names have one dot at most."""
    made: dict[str, Any] = {}
    for key, value in values.items():
        part, _, leaf = key.rpartition(".")
        (made.setdefault(part, {}) if part else made)[leaf] = value
    return made
