"""The command line. Every command is a few lines over the API; JAX is imported by the commands that need it."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from romanesco.core.errors import BadInput

DONE, FAILED, BAD, INTERRUPTED = 0, 1, 2, 130
FREE = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

app = typer.Typer(
    name="romanesco",
    help="Reinforcement-learning agents that attend, remember, imagine and plan.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="machine-readable output")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="a folder, task/agent/name, the start of an id, or latest")]
Root = Annotated[str | None, typer.Option("--root", help="folder of all runs (else $ROMANESCO_RUNS, else runs)")]


def say(text: str = "", *, error: bool = False) -> None:
    """Prints, whatever the terminal's encoding can show."""
    out = sys.stderr if error else sys.stdout
    encoding = getattr(out, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=out, flush=True)


def run(argv: Sequence[str]) -> int:
    """Runs one command -> its exit status. Bad input is one line and status 2, never a traceback."""
    try:
        status = app(args=list(argv), standalone_mode=False)
        return status if isinstance(status, int) else DONE
    except BadInput as error:
        say(f"error: {error}", error=True)
        return BAD
    except (typer.Abort, KeyboardInterrupt):
        say("interrupted at once; the last checkpoint stands", error=True)
        return INTERRUPTED
    except Exception as error:
        return _unforeseen(error)


def _unforeseen(error: Exception) -> int:
    """The status of what is neither done nor bad input; a fault of our own keeps its traceback."""
    show: Callable | None = getattr(error, "show", None)
    if show is not None and hasattr(error, "exit_code"):  # a usage error of the command line's parser
        show()
        return int(getattr(error, "exit_code", BAD))
    if type(error).__name__ == "RunFailed":
        say(f"error: {error}", error=True)
        return FAILED
    if isinstance(error, OSError):
        say(f"error: {error}", error=True)
        return FAILED
    raise error


def table(rows: Sequence[Sequence[Any]], head: Sequence[str]) -> None:
    """Columns as wide as their longest entry; plain text, so that it survives any terminal and pipe."""
    cells = [[str(x) for x in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for row in cells:
        say("  ".join(x.ljust(w) for x, w in zip(row, widths, strict=True)).rstrip())


def listed(rows: Any, as_json: bool, head: Sequence[str], keys: Sequence[str]) -> None:
    if as_json:
        say(json.dumps(rows, indent=1))
        return
    table([["-" if row.get(k) is None else row[k] for k in keys] for row in rows], head)


@app.callback()
def _root() -> None:
    import os

    cache = Path.home() / ".cache" / "romanesco" / "jax"
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ and _own_folder(cache):
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(cache)
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")


def _own_folder(path: Path) -> bool:
    """Whether `path` is a folder that only this user can write; it is made if need be."""
    import os

    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        about = path.stat()
        return about.st_uid == os.getuid() and not about.st_mode & 0o022
    except OSError:
        return False


@app.command(context_settings=FREE)
def train(context: typer.Context) -> None:
    """Train an agent: train PRESET key=value ... [--config FILE] [--resume RUN] [--dry-run] [--json].

    `train --help` lists presets and names; `train PRESET --help` every key of that preset.
    """
    said = _train_words(context.args)
    if said["help"]:
        from romanesco.lab import catalog

        say(catalog.help_text(said["preset"]) if said["preset"] else catalog.overview())
    elif said["resume"]:
        _resume(said)
    else:
        _train(said)


def _train_words(args: Sequence[str]) -> dict[str, Any]:
    """The words of `train`: flags of ours, one preset, and overrides."""
    said: dict[str, Any] = {"help": False, "dry": False, "json": False, "strict": False, "config": None,
                            "resume": None, "preset": None, "overrides": []}  # fmt: skip
    flags = {"--help": "help", "-h": "help", "--dry-run": "dry", "--json": "json", "--strict": "strict"}
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
    from romanesco.lab import run as lab

    failures = []
    for config in configs:
        try:
            with _watched() as watch:
                path = lab.start(config, hooks=hooks(), argv=_argv(), view=watch)
        except lab.RunFailed as error:
            failures.append(str(error))
            continue
        _summary(path)
    if failures:
        raise lab.RunFailed("; ".join(failures))


@contextlib.contextmanager
def _watched() -> Iterator[Any]:
    """What shows a run; an interrupted one says how to go on, and ends with its own exit status."""
    from romanesco.lab.panel import view
    from romanesco.lab.run import Interrupted

    watch = view()
    try:
        yield watch
    except Interrupted as error:
        say(str(error), error=True)
        raise typer.Exit(INTERRUPTED) from error
    finally:
        watch.close()


def _argv() -> list[str]:
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
    from romanesco.lab import run as lab
    from romanesco.lab.build import Objects
    from romanesco.lab.load import needed_objects

    needed_objects(path, config, Objects())
    with _watched() as watch:
        lab.resume(path, config, hooks=hooks(), argv=_argv(), view=watch, strict=said["strict"])
    _summary(path)


@app.command("eval", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def evaluate(
    context: typer.Context,
    run: RunName,
    episodes: Annotated[int, typer.Option(help="episodes of each seed; at least 1")] = 100,
    checkpoint: Annotated[str, typer.Option(help="latest, best, or a step")] = "latest",
    sampled: Annotated[bool, typer.Option("--sampled", help="sample actions instead of taking the likeliest")] = False,
    render: Annotated[Path | None, typer.Option(help="write one episode of the first seed as a GIF")] = None,
    pick: Annotated[str, typer.Option(help="which episode to render: best, median or worst")] = "median",
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Play fresh episodes with trained agents; env.KEY=VALUE changes the world (zero-shot transfer)."""
    if episodes < 1:
        raise BadInput(f"--episodes {episodes}: at least 1")
    if pick not in ("best", "median", "worst"):
        raise BadInput(f"--pick {pick}: best, median or worst")
    from romanesco.lab.store import find_run

    path = find_run(run, root)
    from romanesco import api
    from romanesco.lab.compose import changed_world
    from romanesco.lab.load import config_of, load_run

    world = changed_world(config_of(path), context.args) if context.args else None
    step = int(checkpoint) if checkpoint.isdigit() else checkpoint
    found = load_run(path, checkpoint=step, env_group=world)
    for note in found.notes:
        say(f"warning: {note}; the one before it is used", error=True)
    played = api.play(found, episodes=episodes, greedy=not sampled)
    means = {seed: {k: float(x.mean()) for k, x in sorted(scores.items())} for seed, scores in played.items()}
    if as_json:
        say(json.dumps({"run": str(path), "episodes": episodes, "greedy": not sampled, "seeds": means}, indent=1))
    else:
        names = sorted(next(iter(means.values())), key=lambda k: (k != "return", k != "success", k))
        table([[seed, *(f"{scores[k]:.4g}" for k in names)] for seed, scores in means.items()], ["seed", *names])
        iqm, interval = api.hooks().summarize([scores["return"] for scores in means.values()])
        span = f" [{interval[0]:.4g}, {interval[1]:.4g}]" if interval else ""
        say(f"return {iqm:.4g}{span}: IQM over {len(means)} seed(s), {episodes} episodes each")
    if render is not None:
        shown = api.film(found, render, episodes=min(episodes, 10), pick=pick, greedy=not sampled)
        say(f"{pick} of {min(episodes, 10)} episodes, return {shown['return']:.4g}: {render}")


@app.command()
def runs(
    folder: Annotated[str | None, typer.Argument(metavar="[DIR]", help="where to look")] = None, as_json: Json = False
) -> None:
    """List runs: name, status, steps, last return, age."""
    from romanesco.lab.store import runs_root
    from romanesco.study.runs import runs_under

    root = runs_root(folder)
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder; train something first, or name the folder of your runs")
    rows = [found.summary() for found in runs_under(root)]
    if not rows and not as_json:
        say(f"no runs in {root}; try: romanesco train quickstart")
        return
    keys = ["name", "status", "steps", "total", "last_return", "age_s"]
    if not as_json:
        rows = [{**row, "age_s": _age(row["age_s"]), "last_return": _short(row["last_return"])} for row in rows]
    listed(rows, as_json, ["run", "status", "steps", "of", "last return", "age"], keys)


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _short(x: float | None) -> str:
    return "-" if x is None else f"{x:.4g}"


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Argument(help="presets, envs, memories, encoders or algorithms")] = None,
    name: Annotated[str | None, typer.Argument(help="one of them: every setting")] = None,
    as_json: Json = False,
) -> None:
    """List what can be named: presets, envs, memories, encoders, algorithms."""
    from romanesco.core.errors import nearest
    from romanesco.lab import catalog

    everything = catalog.listing()
    if kind is None:
        say(json.dumps(everything, indent=1) if as_json else catalog.overview())
        return
    if kind not in everything:
        raise BadInput(f"list {kind}{nearest(kind, everything)}; there are {', '.join(everything)}")
    rows = everything[kind]
    if name is not None:
        rows = [row for row in rows if row["name"] == name]
        if not rows:
            names = [row["name"] for row in everything[kind]]
            raise BadInput(f"no {name} in {kind}{nearest(name, names)}; there are {', '.join(names)}")
        rows = rows[0].get("settings", rows) if not as_json else rows
        if not as_json and rows and "key" in rows[0]:
            listed(rows, False, ["key", "type", "default", "help"], ["key", "type", "default", "help"])
            return
    listed(rows, as_json, [kind, "what"], ["name", "summary"])


@app.command()
def check(
    target: Annotated[str, typer.Argument(metavar="MODULE:NAME", help="your memory, environment or collector")],
) -> None:
    """Run the laws on your own memory, environment or collector."""
    from romanesco.laws.check import check as judge

    failed = judge(target, say)
    if failed:
        raise typer.Exit(FAILED)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what works here, what is missing, and the remedy."""
    from romanesco.lab.doctor import examine

    findings = examine()
    listed(findings, as_json, ["part", "state", "what"], ["part", "state", "what"])
    if any(f["state"] == "broken" and f["core"] for f in findings):
        raise typer.Exit(FAILED)


@app.command()
def report(
    names: Annotated[list[str], typer.Argument(metavar="RUN...", help="one run, or several to compare")],
    to: Annotated[Path | None, typer.Option(help="where to write the page")] = None,
    root: Root = None,
) -> None:
    """Write one self-contained HTML page about a run, or about several."""
    from romanesco.lab.store import find_run
    from romanesco.study.report import report as write
    from romanesco.study.runs import Run

    found = [Run(find_run(name, root)) for name in names]
    page = write(found, to)
    for one in found:
        for warning in one.warnings:
            say(f"warning: {warning}", error=True)
    say(str(page))
