from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sensai_release.errors import ConfigurationError
from sensai_release.pipeline.utility import assess_utility, reduced
from sensai_release.pipeline.workspace import TEMPLATE_PARTS, Workspace, template_root


def test_a_recording_is_reduced_over_its_valid_rows() -> None:
    frames = pa.table({"AU01_r": [1.0, 3.0, 100.0, np.nan], "ok": [1, 1, 0, 1], "text": ["a", "b", "c", "d"]})
    found = dict(reduced(frames, ["AU01_r", "text", "absent"], "ok"))
    assert found == {"AU01_r_mean": 2.0, "AU01_r_rate": 1.0, "AU01_r_sd": 1.0}
    assert dict(reduced(frames.slice(2, 1), ["AU01_r"], "ok")) == {}


def test_without_a_candidate_there_is_nothing_to_measure(tmp_path: Path) -> None:
    for part in TEMPLATE_PARTS[:1]:
        (tmp_path / part).write_bytes((template_root() / part).read_bytes())
    with pytest.raises(ConfigurationError, match="the candidate"):
        assess_utility(Workspace(root=tmp_path))
