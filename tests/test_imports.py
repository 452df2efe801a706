"""What an import costs, and what the package never does."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "romanesco"
HEAVY = ("torch", "ray", "streamlit", "wandb", "matplotlib", "tensorboard", "PIL")
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {"eval", "exec", "os.system", "np.load", "numpy.load", "yaml.unsafe_load", "yaml.full_load"}
FORBIDDEN_NAMES = {"pure_callback", "io_callback", "UnsafeLoader", "FullLoader"}
IMPORT_STRING = "_target_"
REFUSES = "lab/spelling.py"  # the file that names what is refused


def loaded(statement: str, names: tuple[str, ...]) -> list[str]:
    """Which of `names` a fresh process has imported after `statement`."""
    program = f"import sys; {statement}; print(*[m for m in {names!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    "module",
    ["romanesco", "romanesco.cli", "romanesco.lab.config", "romanesco.lab.catalog", "romanesco.core.registry",
     "romanesco.core.spaces", "romanesco.core.errors", "romanesco.memory", "romanesco.envs", "romanesco.agent",
     "romanesco.learn", "romanesco.envs.table"],
)  # fmt: skip
def test_names_and_settings_need_no_jax(module):
    assert not loaded(f"import {module}", ("jax", "hydra", *HEAVY))


def test_the_api_needs_jax_and_nothing_heavier():
    assert loaded("import romanesco as rm; rm.train, rm.load, rm.make", ("jax", *HEAVY)) == ["jax"]


def test_every_name_of_the_api_is_there():
    assert not loaded("import romanesco as rm; [getattr(rm, name) for name in dir(rm)]", HEAVY)


def name(node: ast.expr) -> str:
    """`np.load` and `eval` as written; of anything else the empty string."""
    match node:
        case ast.Name(id=word):
            return word
        case ast.Attribute(value=ast.Name(id=word), attr=last):
            return f"{word}.{last}"
    return ""


def forbidden(text: str) -> list[str]:
    """Pickles, evaluated text, import strings and callbacks in a file, as `line: what`."""
    found = []
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names=names):
                found += [f"{node.lineno}: {n.name}" for n in names if n.name.split(".")[0] in FORBIDDEN_MODULES]
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in FORBIDDEN_MODULES:
                found.append(f"{node.lineno}: {module}")
            case ast.Call(func=func):
                found += [f"{node.lineno}: {name(func)}(...)"] if name(func) in FORBIDDEN_CALLS else []
                found += [f"{node.lineno}: shell=True" for k in node.keywords if k.arg == "shell"]
            case ast.Attribute(attr=word) | ast.Name(id=word) if word in FORBIDDEN_NAMES:
                found.append(f"{node.lineno}: {word}")
            case ast.Constant(value=str(word)) if word == IMPORT_STRING:
                found.append(f"{node.lineno}: {word}")
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_pickle_no_evaluated_text_no_callback(path):
    found = forbidden(path.read_text(encoding="utf-8"))
    if path == PACKAGE / REFUSES:
        found = [one for one in found if IMPORT_STRING not in one]
    assert not found


@pytest.mark.parametrize(
    "text",
    ["import pickle", "from cloudpickle import dumps", "eval('1')", "jax.pure_callback(f, x)", "np.load('x.npy')",
     "subprocess.run('ls', shell=True)", "x = {'_target_': 'os.system'}", "yaml.load(text, yaml.FullLoader)"],
)  # fmt: skip
def test_the_scan_sees_it(text):
    assert forbidden(text)
