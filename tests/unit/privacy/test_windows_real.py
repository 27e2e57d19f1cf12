"""Windows over what OpenFace really wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

from sensai_release.privacy.policy import plan_table
from sensai_release.privacy.windows import time_findings, window_table
from sensai_release.table.schema import load_schemas

ROOT = Path(__file__).parents[3]
RECORDINGS = ROOT.parent / "shared" / "data" / "openface"

pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="real recordings lie beside the project, not in it")


def read(path: Path) -> pa.Table:
    frames = csv.read_csv(path, convert_options=csv.ConvertOptions(null_values=["", "nan", "-nan(ind)"]))
    return frames.rename_columns([name.strip() for name in frames.column_names])


@pytest.mark.parametrize(
    ("name", "windows", "code"),
    [
        ("odbm_subj01_timepoint01.csv", 1, None),
        ("pyfeat_OpenFace_Test.csv", 0, "time.short"),  # its clock goes by a millisecond a frame
        ("facsvatar_head_test_raw.csv", 1, None),
    ],
)
def test_real_recordings(name: str, windows: int, code: str | None) -> None:
    frames = read(RECORDINGS / name)
    schemas = load_schemas(ROOT / "schemas")
    schema = schemas["face"]
    release = next(release for release in schema.releases if release.window is not None)
    assert release.window is not None
    plan = plan_table(schema, release, "controlled", frames.column_names, schemas.hierarchies)
    found = window_table(frames, plan, release.window)
    assert found.num_rows == windows
    assert [f.code for f in time_findings(frames, release.window, table="face")] == ([code] if code else [])
    for name_ in found.column_names[3:]:
        values = found[name_].to_numpy()
        assert np.isnan(values).all() or np.nanmax(np.abs(values)) <= 5
