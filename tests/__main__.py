"""Everything that a change must pass: `python -m tests`, or `python -m tests style laws` for some of its steps.

style, types; laws: all tests but the next, compiled by what compiles fastest, in less than half the time; optimized:
memories that learn, compiled as users compile; docs; wheel: the package alone in an empty environment. Without names
the last two run beside the others, on what these leave of the cores, and are told at the end.
Compiled programs are kept in .jax_cache. The last line counts what passed and failed: tests, and the commands of other
steps.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = {"JAX_COMPILATION_CACHE_DIR": str(ROOT / ".jax_cache"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
HASTY = {
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false",
}
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
WORKERS = min(CORES, 4)  # each takes some 2 GB


def call(*command: object, cwd: Path = ROOT, **variables: str) -> int:
    return subprocess.run([*map(str, command)], cwd=cwd, env=os.environ | CACHE | variables).returncode


def verdict(*command: object, cwd: Path = ROOT, **variables: str) -> Counter:
    """One command as one check: it must exit with 0."""
    return Counter(["failed" if call(*command, cwd=cwd, **variables) else "passed"])


def tool(name: str, *arguments: object) -> Counter:
    return verdict(sys.executable, "-m", name, *arguments)


def session(marks: str, **variables: str) -> Counter:
    """One run of pytest -> its counts, read from its own report; a run that ends otherwise is one more failure."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        workers = ["-n", WORKERS, "--dist", "worksteal"] if WORKERS > 1 else []
        options = ["-q", "-m", marks, "--durations", 20, f"--junitxml={report}", *workers]
        status = call(sys.executable, "-m", "pytest", *options, **variables)
        suite = ET.parse(report).getroot().find("testsuite") if report.exists() else None
    names = ("tests", "failures", "errors", "skipped")
    told = {} if suite is None else {name: int(suite.get(name, 0)) for name in names}
    failed = told.get("failures", 0) + told.get("errors", 0)
    passed = told.get("tests", 0) - failed - told.get("skipped", 0)
    return Counter(passed=max(passed, 0), failed=failed or int(status != 0))


def style() -> Counter:
    return tool("ruff", "check") + tool("ruff", "format", "--check")


def types() -> Counter:
    return tool("pyright", "--pythonpath", sys.executable)


def laws() -> Counter:
    return session("not optimized", **HASTY)


def optimized() -> Counter:
    return session("optimized")


def docs() -> Counter:
    return tool("sphinx", "-W", "--keep-going", "-q", "-E", "docs", "docs/_build/html")


def wheel() -> Counter:
    """Builds the wheel from a copy, installs it without extras in an empty environment, and uses it elsewhere."""
    with tempfile.TemporaryDirectory() as folder:
        source, env, away = (Path(folder) / name for name in ("source", "env", "away"))
        shutil.copytree(ROOT / "romanesco", source / "romanesco", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
            shutil.copy(ROOT / name, source)
        counts = tool("pip", "wheel", "-q", "--no-deps", "-w", folder, source)
        shutil.rmtree(source)
        away.mkdir()
        venv.create(env, with_pip=True)
        bin = env / ("Scripts" if os.name == "nt" else "bin")
        pins = ROOT / "constraints" / "py311.txt"
        counts += verdict(bin / "python", "-m", "pip", "install", "-q", "-c", pins, *Path(folder).glob("*.whl"))
        for words in ("--help", "list", "doctor", "train quickstart total_steps=8192"):
            counts += verdict(bin / "romanesco", *words.split(), cwd=away, PYTHONPATH="")
        return counts


STEPS = {step.__name__: step for step in (style, types, laws, optimized, docs, wheel)}
BESIDE = ("docs", "wheel")  # seldom busy on more than one core, and often waiting


def told(counts: Counter) -> str:
    return f"{counts['passed']} passed, {counts['failed']} failed"


def one_by_one(names: Iterable[str]) -> Counter:
    total = Counter(passed=0, failed=0)
    for name in names:
        print(f"\n== {name}", flush=True)
        began = time.monotonic()
        counts = STEPS[name]()
        total.update(counts)
        print(f"-- {name}: {told(counts)}, {time.monotonic() - began:.0f} s", flush=True)
    return total


def everything() -> Counter:
    with tempfile.TemporaryFile("w+") as output:
        command = [sys.executable, "-m", "tests", *BESIDE]
        with subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT):
            counts = one_by_one(name for name in STEPS if name not in BESIDE)
        output.seek(0)
        text, _, last = output.read().rstrip().rpartition("\n")
    print(text)
    if ended := re.fullmatch(r"(\d+) passed, (\d+) failed", last):
        passed, failed = map(int, ended.groups())
        return counts + Counter(passed=passed, failed=failed)
    print(last)
    return counts + Counter(failed=1)


def main(names: list[str]) -> int:
    if unknown := set(names) - set(STEPS):
        print(f"no step {', '.join(sorted(unknown))}; there are {', '.join(STEPS)}", file=sys.stderr)
        return 2
    total = one_by_one(names) if names else everything()
    print(f"\n{told(total)}", flush=True)
    return int(total["failed"] > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
