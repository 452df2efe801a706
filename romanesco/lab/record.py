"""What a run was made of: command, versions, commit, environment. No secret gets into it."""

import importlib.metadata
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import romanesco

RECORDED = re.compile(
    r"(XLA|JAX|ROMANESCO)_\w+|MUJOCO_GL|PYOPENGL_PLATFORM|(CUDA|NVIDIA)_VISIBLE_DEVICES|(OMP|MKL|OPENBLAS)_NUM_THREADS"
    r"|SLURM_(JOB_ID|ARRAY_TASK_ID|PROCID|NTASKS)"
)
SECRET = r"[\w.\-]*(?:key|token|secret|password|passwd|credential)"
NAMED = re.compile(rf"(?i)^-*{SECRET}(?:[_.\-][\w.\-]*)?$")
ASSIGNED = re.compile(  # `key = f(x)`, `key_size=8` and `tokens=...` of ordinary code stay readable
    rf"(?i)(\b{SECRET}(?:[_.\-][\w.\-]*)?[\"']?\s*[:=]\s*)(\"[^\"\n]+\"|'[^'\n]+'|[\w\-+/=.~]{{8,}}+(?!\())"
)
LOGIN = re.compile(r"(://)[^/\s:@]+:[^/\s@]+@")
HIDDEN = "***"
LARGEST_DIFF = 2**20


def redact(text: str) -> str:
    """Text without what looks like a secret: assigned to a name like one, a login in a URL, or in the environment."""
    text = LOGIN.sub(rf"\1{HIDDEN}@", ASSIGNED.sub(rf"\1{HIDDEN}", text))
    known = [v for k, v in os.environ.items() if NAMED.match(k) and len(v) >= 8]
    for value in sorted(known, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text


def command(argv: Sequence[str]) -> str:
    """The command as a shell takes it, one line; values of arguments named like secrets are replaced."""
    words, hide = [], False
    for word in argv:
        name, equals, value = word.partition("=")
        plain = re.fullmatch(r"[\d.]*|true|false|null", value, re.IGNORECASE)
        secret = bool(NAMED.match(name)) and not plain
        words.append(HIDDEN if hide else f"{name}={HIDDEN}" if equals and secret else redact(word))
        hide = word.startswith("--") and not equals and bool(NAMED.match(word))
    return shlex.join(words)


def environment() -> dict[str, str]:
    """The variables that can change numbers; only names of an allow-list."""
    return {k: redact(v) for k, v in sorted(os.environ.items()) if RECORDED.fullmatch(k) and not NAMED.match(k)}


def _git(*arguments: str) -> str | None:
    here = Path(romanesco.__file__).parent
    try:
        done = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def commit(*, diff: bool = True) -> dict | None:
    """Commit and uncommitted changes of this package's checkout; None where it is installed without one."""
    if _git("ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    changes = _git("diff", "HEAD", "--no-color", "--no-ext-diff") or ""
    info = {"commit": (_git("rev-parse", "HEAD") or "").strip(), "dirty": bool(changes)}
    return info | ({"diff": redact(changes)[:LARGEST_DIFF]} if diff and changes else {})


def versions(*, device: str | None = None, git_diff: bool = True) -> dict:
    """version.json: package, commit, Python, every installed distribution, machine, device, XLA flags, variables."""
    found = {d.name: d.version for d in importlib.metadata.distributions()}
    return {
        "version": 1,
        "romanesco": romanesco.__version__,
        "git": commit(diff=git_diff),
        "python": sys.version.split()[0],
        "dependencies": dict(sorted(found.items(), key=lambda item: item[0].lower())),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "device": device,
        "xla_flags": redact(os.environ.get("XLA_FLAGS", "")),
        "environment": environment(),
    }
