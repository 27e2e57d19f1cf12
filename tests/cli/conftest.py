"""A workspace that went the whole way once, and a way to run the command as its users do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

TOOL = Path(sys.executable).with_name("sensai-release")


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def said(self) -> str:
        return self.out + self.err


def run_tool(*arguments: object, key_dir: Path | None = None, cwd: Path | None = None) -> Outcome:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SENSAI_RELEASE")}
    environment["PATH"] = f"{TOOL.parent}{os.pathsep}{environment['PATH']}"
    if key_dir is not None:
        environment["SENSAI_RELEASE_KEY_DIR"] = str(key_dir)
    done = subprocess.run(
        [str(TOOL), *map(str, arguments)], capture_output=True, text=True, env=environment, cwd=cwd, check=False
    )
    outcome = Outcome(done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in outcome.said, outcome.said
    return outcome


@pytest.fixture(scope="session")
def tool() -> Callable[..., Outcome]:
    return run_tool


@dataclass(frozen=True)
class Story:
    """What the session's one full run left behind. Tests that change anything work on copies."""

    root: Path

    @property
    def workspace(self) -> Path:
        return self.root / "workspace"

    @property
    def source(self) -> Path:
        return self.workspace / "data" / "source"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def trust(self) -> Path:
        return self.root / "trust.json"

    @property
    def releases(self) -> list[Path]:
        return sorted(path for path in (self.workspace / "releases").iterdir() if path.is_dir())


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    root = tmp_path_factory.mktemp("story") / "demo"
    outcome = run_tool("--json", "demo", root, "--participants", "24", "--seed", "3")
    assert outcome.code == 0, outcome.said
    assert outcome.document["ok"] is True
    return Story(root=root)


@pytest.fixture
def workspace_copy(story: Story, tmp_path: Path) -> Path:
    """A private copy of the finished workspace, with its time stamps, so that nothing has to run again."""
    target = tmp_path / "workspace"
    shutil.copytree(story.workspace, target, symlinks=True)
    return target
