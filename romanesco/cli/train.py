"""`romanesco train`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer

from romanesco.cli.terminal import FREE, INTERRUPTED, app, say
from romanesco.core.errors import BadInput

USAGE = """\
Usage: romanesco train [PRESET] [KEY=VALUE ...] [--config FILE] [--dry-run]
       romanesco train --resume RUN [total_steps=N] [seeds=N]

  Train an agent into a new run folder, with curves, checkpoints and a report.

  PRESET         a task and an agent for it, from the list below; without one:
                 env=NAME, and what else is wanted
  KEY=VALUE      a name chooses a part (memory=gru), a dotted key sets one of
                 its settings (env.corridor_length=40); a,b: one run of each
  --config FILE  settings in YAML; the command line wins over the file, the
                 file over the preset
  --dry-run      print all settings, updates, evaluations and parameters only
  --resume RUN   go on where a run was stopped, or further; RUN is a folder,
                 task/agent/name, the start of an id, or latest
  --strict       with --resume: refuse a damaged checkpoint instead of taking
                 the one before it

Like: romanesco train quickstart memory=gru seeds=3
Then: romanesco train quickstart --help   every setting, and what is allowed
      romanesco list memories gru         the settings of one part
"""


@app.command(context_settings=FREE)
def train(context: typer.Context) -> None:
    """Train an agent: train PRESET KEY=VALUE."""
    said = _train_words(context.args)
    if said["help"]:
        from romanesco.lab import catalog

        say(catalog.help_text(said["preset"]) if said["preset"] else f"{USAGE}\n{catalog.overview()}")
    elif said["resume"]:
        _resume(said)
    else:
        _train(said)


def _train_words(args: Sequence[str]) -> dict[str, Any]:
    """The words of `train`: flags of ours, one preset, and overrides."""
    said: dict[str, Any] = {"help": False, "dry": False, "strict": False, "config": None, "resume": None,
                            "preset": None, "overrides": []}  # fmt: skip
    flags = {"--help": "help", "-h": "help", "--dry-run": "dry", "--strict": "strict"}
    words = iter(args)
    for word in words:
        name, equals, value = word.partition("=")
        if word in flags:
            said[flags[word]] = True
        elif name in ("--config", "--resume"):
            said[name[2:]] = value if equals else next(words, None)
            if said[name[2:]] is None:
                raise BadInput(f"{name}: give a {'file' if name == '--config' else 'run'} after it")
        elif word.startswith(("-", "+", "~")) or equals or said["preset"]:
            said["overrides"].append(word)
        else:
            said["preset"] = word
    return said


def _train(said: dict[str, Any]) -> None:
    from romanesco.lab.compose import resolve

    configs = resolve(said["preset"], said["overrides"], config_file=said["config"])
    for config in configs:
        for given in ("env", "memory", "encoder"):
            if getattr(config, given).name == "object":
                raise BadInput(f"{given}=object: objects enter in Python: rm.train(..., {given}=...)")
        for note in config.notes:
            say(f"note: {note}")
    if said["dry"]:
        for config in configs:
            _dry_run(config)
        return
    from romanesco.api import hooks
    from romanesco.lab import jobs
    from romanesco.lab.loop import RunFailed

    failures = []
    for config in configs:
        try:
            with watched() as watch:
                path = jobs.start(config, hooks=hooks(), argv=argv(), view=watch)
        except RunFailed as error:
            failures.append(str(error))
            continue
        _summary(path)
    if failures:
        raise RunFailed("; ".join(failures))


@contextlib.contextmanager
def watched(*, error: bool = False) -> Iterator[Any]:
    """What shows a run, with `error` on stderr; one that was interrupted says how to go on, and sets the status."""
    from romanesco.lab.loop import Interrupted
    from romanesco.lab.panel import view

    watch = view(error=error)
    try:
        yield watch
    except Interrupted as stopped:
        say(str(stopped), error=True)
        raise typer.Exit(INTERRUPTED) from stopped
    finally:
        watch.close()


def finished(config: Any) -> Path:
    """The run of a configuration that has a name: found, gone on with, or trained; told on stderr."""
    from romanesco.api import hooks
    from romanesco.lab import jobs

    with watched(error=True) as watch:
        return jobs.finished(config, hooks=hooks(), argv=argv(), view=watch)


def argv() -> list[str]:
    return ["romanesco", *sys.argv[1:]]


def _dry_run(config: Any) -> None:
    """The resolved configuration, the updates and steps really done, parameters and memory."""
    from romanesco.api import sizes
    from romanesco.lab import files

    say(files.to_yaml(config).rstrip())
    per = config.steps_per_update
    say(f"# {config.num_updates:,} updates of {per:,} steps: {config.final_step:,} env steps a seed")
    evaluations = len(config.eval_targets())
    say(f"# {evaluations} evaluations at updates {', '.join(map(str, config.eval_targets())) or 'none'}")
    for line in sizes(config):
        say(f"# {line}")


def _summary(path: Path) -> None:
    from romanesco.study.runs import Run

    results = Run(path).results or {}
    iqm, interval = results.get("iqm"), results.get("interval")
    if iqm is not None:
        seeds = len(results["seeds"])
        span = f" [{interval[0]:.4g}, {interval[1]:.4g}]" if interval else ""
        say(f"greedy return {iqm:.4g}{span}: IQM over {seeds} seed{'s' if seeds > 1 else ''}")
    say(f"run     {path}")
    say(f"report  {path / 'report.html'}")


def _resume(said: dict[str, Any]) -> None:
    from romanesco.lab import files, store
    from romanesco.lab.compose import resume_overrides

    path = store.find_run(said["resume"])
    words = ([said["preset"]] if said["preset"] else []) + said["overrides"]
    saved = files.from_yaml((path / store.CONFIG).read_text(encoding="utf-8-sig"), str(path / store.CONFIG))
    config = resume_overrides(saved, words)
    for note in config.notes:
        say(f"note: {note}")
    from romanesco.api import hooks
    from romanesco.lab import jobs
    from romanesco.lab.build import Objects
    from romanesco.lab.load import needed_objects

    needed_objects(path, config, Objects())
    with watched() as watch:
        jobs.resume(path, config, hooks=hooks(), argv=argv(), view=watch, strict=said["strict"])
    _summary(path)
