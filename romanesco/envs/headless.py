"""Where pictures are drawn without a screen. Needs no JAX; called before a library that draws is first imported."""

from __future__ import annotations

import os
import subprocess
import sys

from romanesco.core.errors import BadInput

BACKENDS = {"egl": "libegl1", "osmesa": "libosmesa6"}  # of OpenGL, the faster one first, and their Debian packages
PROBE = """
import os, mujoco
context = mujoco.GLContext(8, 8)
context.make_current()
mujoco.MjrContext(mujoco.MjModel.from_xml_string("<mujoco/>"), mujoco.mjtFontScale.mjFONTSCALE_100)
os._exit(0)
"""


def no_window() -> None:
    """pygame shows no window and plays no sound, unless the user has said otherwise."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")


def opengl() -> None:
    """Sets `MUJOCO_GL` where it is unset, for this process and those it starts: the first backend that opens a context
    in a process of its own. macOS needs none. `BadInput` with the packages to install where none does."""
    if sys.platform != "linux" or "MUJOCO_GL" in os.environ:
        return
    for backend in BACKENDS:
        env = {**os.environ, "MUJOCO_GL": backend}
        try:
            done = subprocess.run([sys.executable, "-c", PROBE], env=env, capture_output=True, timeout=60)
        except subprocess.TimeoutExpired:
            continue
        if done.returncode == 0:
            os.environ["MUJOCO_GL"] = backend
            return
    remedy = ", or ".join(f"apt-get install {package} (MUJOCO_GL={backend})" for backend, package in BACKENDS.items())
    raise BadInput(f"no OpenGL draws without a screen here: {remedy}")
