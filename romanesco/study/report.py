"""One self-contained page about a run, or about several. Every text from a run is escaped; nothing is fetched."""

from __future__ import annotations

import html
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from romanesco.study.curves import mean_return, mean_success, picture, series
from romanesco.study.runs import Run
from romanesco.study.stats import interval, iqm

OFF_POLICY = 1e-4  # above it, acting and replay disagree
CHANCE = 0.1  # a success rate this close to one half is called chance
DISCLAIMER = (
    "For research and education, not for vehicles, medical devices, industrial control, trading or anything where "
    "failure harms. Toy-task results may not transfer; attention does not always help; seeds vary; training costs "
    "compute."
)
FEW = (
    "{n} seed{s}: below 10 the interval is too narrow. With 95 % confidence the least and the greatest of n seeds "
    "enclose only 34 % (n = 5), 61 % (10) or 78 % (20) of all runs."
)
SMALL = ("train/entropy", "train/approx_kl", "train/clip_fraction", "train/explained_variance", "train/value_loss",
         "train/policy_loss", "train/grad_norm", "train/off_policy")  # fmt: skip
CSS = Path(__file__).with_name("report.css")
PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    '<meta name="viewport" content="width=device-width,initial-scale=1"><style>{css}</style></head>'
    "<body><main>{body}<footer>{footer}</footer></main></body></html>\n"
)
DASH = "\N{EN DASH}"  # where there is no number


def number(x: Any, form: str = ".4g") -> str:
    """A number for a table; a dash where there is none."""
    return DASH if x is None else format(x, form)


def steps(x: Any) -> str:
    return DASH if x is None else f"{x:,}"


def _finals(run: Run, kind: str = "greedy", field: str = "mean") -> list[float]:
    seeds = (run.results or {}).get("seeds", [])
    return [s[kind][field] for s in seeds if s.get(kind) and s[kind].get(field) is not None]


def _span(values: Sequence[float], form: str) -> str:
    around = interval(np.asarray(values)) if len(values) > 1 else None
    text = format(float(iqm(np.asarray(values))), form)
    return f"{text} [{format(around[0], form)}, {format(around[1], form)}]" if around else text


def verdict(run: Run) -> str:
    """One sentence about a run: its end, with an interval over seeds."""
    returns, success = _finals(run), _finals(run, field="success")
    many = f"{len(returns)} seeds" if len(returns) != 1 else "one seed"
    if not returns:
        return f"{run.label} is {run.status} at {run.steps:,} steps; there is no final evaluation yet."
    said = f"{run.label}: greedy return {_span(returns, '.4g')} (IQM over {many}) after {run.results['steps']:,} steps"  # type: ignore[index]
    if success:
        said += f", success {_span(success, '.1%')}"
        if abs(float(iqm(np.asarray(success))) - 0.5) < CHANCE and run.config["env"].get("name") == "tmaze":
            said += ", which is chance"
    return said + "."


def warnings(run: Run) -> list[str]:
    """What limits how far the numbers can be trusted."""
    n = len(run.seeds)
    said = [FEW.format(n=n, s="" if n == 1 else "s")] if n < 10 else []
    said += [f"The run is {run.status}" + (f": {run.error}" if run.error else ".")] if run.status != "finished" else []
    frozen = [s for s in (run.results or {}).get("seeds", []) if s.get("frozen_at") is not None]
    for s in frozen:
        where = f"Seed {s['seed']} was frozen at step {s['frozen_at']:,} by numbers that are not finite"
        said.append(f"{where}; it is left out, so n is {n - len(frozen)}.")
    off = [r["train/off_policy"] for s in run.seeds for r in run.metrics(s) if r.get("train/off_policy") is not None]
    if off and max(off) > OFF_POLICY:
        said.append(f"off_policy reached {max(off):.1e}: acting and replay disagree (limit {OFF_POLICY:.0e}).")
    rows = [r for s in run.seeds for r in run.metrics(s)]
    if rows and all(r.get("rollout/ep_rew_mean") is None for r in rows):
        said.append("No training episode has finished yet, so there is no training return.")
    return said + run.damage


def _esc(x: Any) -> str:
    return html.escape(str(x), quote=True)


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    cells = lambda row, tag: "".join(f"<{tag}>{_esc(x)}</{tag}>" for x in row)
    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{cells(head, "th")}</tr></thead><tbody>{body}</tbody></table></div>'


def _seed_table(run: Run) -> str:
    rows = []
    for s in (run.results or {}).get("seeds", []):
        get = lambda kind, field, s=s: (s.get(kind) or {}).get(field)
        off = [r["train/off_policy"] for r in run.metrics(s["seed"]) if r.get("train/off_policy") is not None]
        cells = [number(get("greedy", "mean")), number(get("greedy", "success"), ".1%")]
        cells += [number(get(kind, "mean")) for kind in ("sampled", "absolute")]
        cells += [steps(s.get("best_step")), steps(s.get("steps_to_threshold")), number(max(off, default=None), ".1e")]
        rows.append((s["seed"], *cells))
    head = ("seed", "greedy", "success", "sampled", "best, afresh", "best at step", "threshold at", "off_policy")
    return _table(head, rows) if rows else '<p class="soft">No final evaluation yet.</p>'


def _labels(runs: Sequence[Run]) -> list[str]:
    names = [run.label for run in runs]
    return [f"{n} ({run.name})" if names.count(n) > 1 else n for n, run in zip(names, runs, strict=True)]


def figures(runs: Sequence[Run]) -> dict[str, str]:
    """name -> SVG of what these runs have to show."""

    def found(key: Any, source: str = "metrics") -> list[tuple[str, Any]]:
        all_of = ((label, series(run, key, source=source)) for label, run in zip(_labels(runs), runs, strict=True))
        return [(label, one) for label, one in all_of if one is not None]

    threshold = {"threshold": runs[0].threshold}
    main = [
        ("evaluation", "Evaluation return", found(mean_return, "evals"), threshold),
        ("success", "Success rate of evaluations", found(mean_success, "evals"), {}),
        ("training", "Return of training episodes", found("rollout/ep_rew_mean"), threshold),
    ]
    made = {name: picture([(title, what, how)], legend=len(runs) > 1) for name, title, what, how in main if what}
    small = [(key.partition("/")[2], found(key), {"log": key == "train/off_policy"}) for key in SMALL]
    positive = [(t, [(n, x) for n, x in w if not how["log"] or (x[1] > 0).all()], how) for t, w, how in small]
    if any(w for _, w, _ in positive):
        made["learning"] = picture([p for p in positive if p[1]], columns=3)
    return made


CAPTIONS = {
    "evaluation": "IQM over seeds, 95 % bootstrap band, one thin line a seed. Dashed: the threshold of a solved task.",
    "success": "Share of evaluation episodes that succeed.",
    "training": "Sampled actions, exploration included; evaluations above are greedy.",
    "learning": "What the updates did. off_policy must stay below 1e-4.",
}


def page(runs: Sequence[Run], pictures: dict[str, str]) -> str:
    """The HTML text of a report."""
    title = runs[0].label if len(runs) == 1 else f"{len(runs)} runs"
    parts = [f"<h1>{_esc(title)}</h1>", f'<p class="soft">{_esc(", ".join(run.name for run in runs))}</p>']
    parts += [f'<p class="verdict">{_esc(verdict(run))}</p>' for run in runs]
    for run in runs:
        name = f"{run.label}: " if len(runs) > 1 else ""
        parts += [f'<p class="warn">{_esc(name + text)}</p>' for text in warnings(run)]
    parts.append("<h2>Curves</h2>" if pictures else '<p class="soft">Nothing to draw yet.</p>')
    parts += [f"<figure>{svg}<figcaption>{CAPTIONS[name]}</figcaption></figure>" for name, svg in pictures.items()]
    for run in runs:
        parts += [f"<h2>Seeds{_esc(' of ' + run.label) if len(runs) > 1 else ''}</h2>", _seed_table(run)]
    for run in runs:
        about = (
            f"{run.model.get('parameters', 0):,} parameters, {run.model.get('carry', 0):,} numbers of memory a stream"
        )
        parts += [f"<h2>How {_esc(run.label)} was made</h2>", f"<pre>{_esc(run.command)}</pre>"]
        parts.append(f'<p class="soft">{_esc(about)}. {_esc(_made_with(run))}</p>')
        config = yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True)
        parts.append(f"<details><summary>Configuration</summary><pre>{_esc(config)}</pre></details>")
    body = "\n".join(parts)
    return PAGE.format(title=_esc(title), css=CSS.read_text(encoding="utf-8"), body=body, footer=DISCLAIMER)


def _made_with(run: Run) -> str:
    v = run.version
    git = v.get("git") or {}
    jax = (v.get("dependencies") or {}).get("jax", "?")
    commit = f", commit {git['commit'][:10]}{' with changes' if git.get('dirty') else ''}" if git.get("commit") else ""
    ours = f"romanesco {v.get('romanesco', '?')}{commit}"
    return f"{ours}, Python {v.get('python', '?')}, jax {jax}, {v.get('device', '?')}."


def report(runs: Sequence[Run], to: str | Path | None = None) -> Path:
    """Writes the page -> its path: RUN/report.html with RUN/figures/*.svg; of several runs reports/<stamp>.html."""
    pictures = figures(runs)
    if len(runs) == 1:
        folder = runs[0].path / "figures"
        folder.mkdir(exist_ok=True)
        for name, svg in pictures.items():
            (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    default = runs[0].path / "report.html" if len(runs) == 1 else Path("reports") / time.strftime("%Y%m%d-%H%M%S.html")
    path = default if to is None else Path(to)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(page(runs, pictures), encoding="utf-8")
    os.replace(temporary, path)
    return path
