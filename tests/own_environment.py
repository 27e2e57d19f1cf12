"""An environment for packages that cannot share ours: exact versions, made once, under the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import subprocess
import venv
from pathlib import Path


def environment(requirements: Path) -> Path:
    """The Python of an environment that holds `requirements`; made when it is not there or the file has changed.

    Making it needs a package index; after that nothing is fetched.
    """
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "sensai-release" / f"{requirements.parent.name}-{digest}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(requirements)], check=True)
        (folder / "complete").touch()
    return python
