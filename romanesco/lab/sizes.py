"""Numbers that depend on one another: what is allowed together, and what is resolved from the rest."""

import dataclasses
import math
from fractions import Fraction

from romanesco.core.errors import BadInput
from romanesco.lab.config import NEVER, PARTS, Config
from romanesco.lab.fields import PERCENT, settings, show
from romanesco.lab.memories import Agalite, Gtrxl, NoMemory, Window
from romanesco.lab.options import Attends, Encoder
from romanesco.lab.worlds import Environment, HostEnvironment, MountainCar, Physical, TMaze, shown

MOST_UPDATES = 2**31 - 1  # updates are numbered in 32 bits
MOST_GROUPS = 8
MANY_STEPS = 10_000_000  # above it a run has one seed unless more are asked for


def settle(config: Config, *, seeds_said: bool, updates_said: bool, both_said: bool, adapt: bool = False) -> Config:
    """The configuration with every number resolved, and notes for the user; what does not fit raises `BadInput`.

    `updates_said`: `updates` has the word, not `total_steps`; `both_said`: one source gives both, which must agree.
    `adapt`: the minibatches are a preset's and the memory is another one, whose streams they may fit by being fewer.
    """
    notes: list[str] = []
    config = _budget(config, notes, updates_said, both_said)
    if isinstance(config.env, HostEnvironment) and not seeds_said and config.seeds > 1:
        config = dataclasses.replace(config, seeds=1)
    if config.total_steps > MANY_STEPS and not seeds_said and config.seeds > 1:
        config = dataclasses.replace(config, seeds=1)
        notes.append(f"seeds=1: total_steps is above {MANY_STEPS:,}")
    if adapt and not _deals(config, 1):
        config = _fewer_minibatches(config, notes)
    algorithm = dataclasses.replace(config.algorithm, shuffle_groups=shuffle_groups(config))
    if not config.eval.episodes:
        config = dataclasses.replace(config, eval=dataclasses.replace(config.eval, every=0))
    config = dataclasses.replace(config, env=_world(config.env), algorithm=algorithm, **intervals(config))
    _heads(config)
    _start(config)
    _advantages(config)
    notes += _memory_notes(config)
    config.notes = tuple(notes)  # type: ignore[misc]
    return config


def _start(config: Config) -> None:
    """What a run begins with."""
    if not config.init_parts:
        raise BadInput(f"init_parts=[]: name at least one of {', '.join(PARTS)}, or leave init_from out")
    if config.init_from is None and set(config.init_parts) != set(PARTS):
        raise BadInput(f"init_parts={show(config.init_parts)} without init_from=RUN: there is nothing to begin with")


def _advantages(config: Config) -> None:
    """A single advantage less its mean is 0, and no policy would be learned."""
    a = config.algorithm
    if a.normalize_advantages and config.steps_per_update == a.minibatches:
        raise BadInput(
            f"algorithm.minibatches={a.minibatches} of one step each (num_envs={config.num_envs} x algorithm.horizon="
            f"{a.horizon}): normalized, one advantage is 0 and no policy is learned; give fewer minibatches or more "
            "steps, or algorithm.normalize_advantages=false"
        )


def _budget(config: Config, notes: list[str], updates_said: bool, both_said: bool) -> Config:
    """`total_steps` from `updates`, or the other way round: then the last update may pass it."""
    size, updates = config.steps_per_update, config.num_updates
    each = f"of {size} steps (num_envs={config.num_envs} x algorithm.horizon={config.algorithm.horizon})"
    if updates_said and config.updates and not both_said:
        config = dataclasses.replace(config, total_steps=config.updates * size)
    elif both_said and config.updates != updates:
        raise BadInput(
            f"total_steps={config.total_steps} takes updates={updates} {each}, not {config.updates}; "
            "give one of the two"
        )
    elif updates * size != config.total_steps:
        count = "1 update" if updates == 1 else f"{updates} updates"
        notes.append(f"total_steps={config.total_steps}: rounded up to {count} {each}, {updates * size} in all")
    if config.num_updates > MOST_UPDATES:
        raise BadInput(
            f"total_steps={config.total_steps} takes {config.num_updates} updates {each}; "
            f"at most {MOST_UPDATES} are allowed"
        )
    return dataclasses.replace(config, updates=config.num_updates)


def intervals(config: Config) -> dict:
    """The sections whose `every` is given, now in env steps; 0 is never."""
    made = {}
    for name in ("log", "eval", "checkpoint"):
        section = getattr(config, name)
        made[name] = dataclasses.replace(section, every=_steps(f"{name}.every", section.every, config.total_steps))
    return made


def _steps(key: str, every: int | str, total: int) -> int:
    if not isinstance(every, str):
        return every
    if every == NEVER:
        return 0
    percent = PERCENT.fullmatch(every)
    share = Fraction(percent[1]) if percent else Fraction(0)
    if not 0 < share <= 100:
        raise BadInput(f"{key}={every}: a share is above 0% and at most 100%")
    return max(1, int(total * share / 100))


def shuffle_groups(config: Config) -> int:
    """G, the number of blocks of streams that are shuffled apart: the numbers depend on it, never on devices.

    `auto`: the largest power of two up to 8 that divides num_envs and lets minibatches divide a block.
    """
    asked = config.algorithm.shuffle_groups
    if isinstance(asked, int):
        if not _deals(config, asked):
            raise _indivisible(config, asked)
        return asked
    fitting = [g for g in (8, 4, 2, 1) if _deals(config, g)]
    if not fitting:
        raise _indivisible(config, 1)
    return fitting[0]


def _samples(config: Config) -> int:
    """How many rollout parts of each stream can be dealt apart."""
    return 1 if _keeper(config) else config.algorithm.horizon


def _keeper(config: Config) -> str | None:
    """What of an agent carries something from step to step."""
    if not isinstance(config.memory, NoMemory):
        return f"memory={config.memory.name}"
    return "encoder.pool=before" if getattr(config.encoder, "pool", None) == "before" else None


def _deals(config: Config, groups: int) -> bool:
    block, rest = divmod(config.num_envs, groups)
    return rest == 0 and block * _samples(config) % config.algorithm.minibatches == 0


def _fewer_minibatches(config: Config, notes: list[str]) -> Config:
    a = config.algorithm
    fewer = math.gcd(a.minibatches, config.num_envs * _samples(config))
    notes.append(
        f"algorithm.minibatches={a.minibatches} of the preset becomes {fewer}: "
        f"{_keeper(config)} keeps the num_envs={config.num_envs} streams whole"
    )
    return dataclasses.replace(config, algorithm=dataclasses.replace(a, minibatches=fewer))


def _indivisible(config: Config, groups: int) -> BadInput:
    a, samples = config.algorithm, _samples(config)
    total = config.num_envs * samples
    what = f"num_envs={config.num_envs} x algorithm.horizon={a.horizon} = {total} samples"
    if keeper := _keeper(config):
        whole = f"{keeper} keeps all algorithm.horizon={a.horizon} steps of one together"
        what = f"num_envs={config.num_envs} streams ({whole})"
    if config.num_envs % groups:
        fits = [g for g in divisors(config.num_envs) if _deals(config, g)]
        return BadInput(
            f"algorithm.shuffle_groups={groups} does not divide num_envs={config.num_envs}; allowed: {listed(fits)}"
        )
    if groups > 1:
        return BadInput(
            f"algorithm.minibatches={a.minibatches} does not divide a block of the {what} in "
            f"algorithm.shuffle_groups={groups}; minibatches allowed: {listed(divisors(total // groups))}"
        )
    step = a.minibatches // math.gcd(a.minibatches, samples)
    return BadInput(
        f"algorithm.minibatches={a.minibatches} does not divide the {what}; "
        f"minibatches allowed: {listed(divisors(total))}; or num_envs a multiple of {step}"
    )


def divisors(n: int) -> list[int]:
    low = [d for d in range(1, math.isqrt(n) + 1) if n % d == 0]
    return sorted({*low, *(n // d for d in low)})


def listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:16])) + (f", ... {numbers[-1]}" if len(numbers) > 16 else "")


def width(encoder: Encoder) -> int | None:
    """How many features an encoder gives; None where its observations decide."""
    hidden = getattr(encoder, "hidden", None)
    return hidden[-1] if hidden else getattr(encoder, "width", None)


def _heads(config: Config) -> None:
    memory, size = config.memory, width(config.encoder)
    if isinstance(memory, Window) and memory.head_size is None and size is not None and size % memory.heads:
        raise BadInput(
            f"memory.heads={memory.heads} does not divide the width {size} of encoder={config.encoder.name}; heads "
            f"allowed: {listed(divisors(size))}; or give memory.head_size"
        )
    if isinstance(config.encoder, Attends) and config.encoder.width % config.encoder.heads:
        raise BadInput(
            f"encoder.heads={config.encoder.heads} does not divide encoder.width={config.encoder.width}; heads "
            f"allowed: {listed(divisors(config.encoder.width))}"
        )
    if getattr(config.encoder, "hidden", None) == []:
        raise BadInput("encoder.hidden=[] has no layer; give widths such as [64,64], or encoder=identity")


def _memory_notes(config: Config) -> list[str]:
    memory, horizon = config.memory, config.algorithm.horizon
    if isinstance(memory, (Window, Gtrxl)) and memory.window - 1 > horizon:
        return [
            f"memory.window={memory.window} is above algorithm.horizon={horizon}: "
            "older steps are read but their keys and values are not learned from"
        ]
    if isinstance(memory, Agalite) and memory.basis == "reference":
        rank = -(-memory.channels // 2)
        if rank < memory.channels:
            return [f"memory.channels={memory.channels} of basis=reference: some are identical; rank {rank}"]
    return []


def _world(env: Environment) -> Environment:
    """The environment with its sizes resolved."""
    shown(env)  # raises where there is no such twin
    if isinstance(env, Physical):
        _drawn(env)
    if isinstance(env, MountainCar) and env.init_low > env.init_high:
        raise BadInput(f"env.init_low={env.init_low} is above env.init_high={env.init_high}")
    if not isinstance(env, TMaze):
        return env
    needed = math.ceil(math.log2(env.corridor_length))
    bits = env.position_bits or max(8, needed)
    if env.corridor_length > 2**bits:
        raise BadInput(
            f"env.corridor_length={env.corridor_length} is above {2**bits} = 2^env.position_bits={bits}; "
            f"give env.position_bits={needed}, or a shorter corridor"
        )
    if env.start_distance >= env.corridor_length:
        raise BadInput(
            f"env.start_distance={env.start_distance} must be below env.corridor_length={env.corridor_length}"
        )
    return dataclasses.replace(env, position_bits=bits)


def _drawn(env: Physical) -> None:
    """Ranges keep to what the parameters themselves may be."""
    ranges: dict[str, list[float]] = env.randomize  # type: ignore[attr-defined]
    if env.context and not ranges:
        raise BadInput("env.context=true: nothing is drawn; give a range, such as env.randomize.NAME=[low,high]")
    for name, bounds in ranges.items():
        number = settings(type(env))[name]
        if any(not number.within(x) for x in bounds):
            raise BadInput(f"env.randomize.{name}={show(bounds)} is not allowed: env.{name} must be {number.allowed}")
