"""Maps real files of other studies onto the source folder of the default workspace, to try the program on them.

    python examples/real_run.py DATA_FOLDER TARGET

DATA_FOLDER holds real output of OpenFace and openSMILE and three published clinical tables; TARGET is the new source
folder. What comes out is **a chimera**: a voice, a face, a Karnofsky score and a pain score in one row come from
different people. It shows how the program takes real files; it says nothing about anybody.

Copied byte for byte: the OpenFace recordings (renamed to their sessions) and the openSMILE functionals (whose `file`
column names the sessions, so the sessions take their names from it). Mapped, line by line in their order:

- NCCTG lung cancer trial (`lung`): a participant a line; age, sex (1 M, 2 F), physician's Karnofsky, `lung` as site.
- Licorice gargle trial: the n-th line with pain scores goes to the n-th participant; body mass index, and throat pain
  0-10 at four times after an operation, a session each. Whoever never scored above 0 is a control, and a control
  keeps the first session alone, as the registration of the study has it.
- Supraclavicular block trial: the n-th line goes to the n-th participant; fentanyl above 0 mcg is an analgesic of the
  first session.

Assumed, the same for everybody: consent given (`CONSENTED`), one day of recording (`TIMES`), and a height of 170 cm
from which the weight follows that gives the published body mass index back. Left empty, because no table has it: stage,
treatment, prompt, observer's score, change and words of pain, quality of life, device, the whole questionnaire.

It leaves the judgement of the files to `sensai-release validate`.
"""

from __future__ import annotations

import argparse
import csv
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SEXES = {"1": "M", "2": "F"}
HEIGHT_CM = 170
CONSENTED = "2000-01-03T08:00:00"
TIMES = {
    "pacu30min_throatPain": "2000-01-03T12:30:00",
    "pacu90min_throatPain": "2000-01-03T13:30:00",
    "postOp4hour_throatPain": "2000-01-03T16:00:00",
    "pod1am_throatPain": "2000-01-04T08:00:00",
}
"""The times at which the gargle trial asked for pain, as sessions of one assumed day and the morning after it."""

VOICES = "opensmile/egemapsv02_functionals.csv"
FACES = {
    "odbm_subj01_timepoint01.csv": "syn01_nl_s1",
    "odbm_subj01_timepoint02.csv": "syn01_nl_s2",
    "facsvatar_head_test_raw.csv": "syn02_nl_s1",
    "pyfeat_OpenFace_Test.csv": "syn03_nl_s1",
    "facsvatar_2people_60fps_p0_clean.csv": "syn04_nl_s1",
}
"""OpenFace recordings and their sessions. The first two are of one person, so they go to one participant."""

NOT_OPENFACE = {"exploface_au_only_indexed.csv": "syn05_nl_s1"}
"""Written by another program in the look of OpenFace; with `--with-refused` it is put in, to see it refused."""

COLUMNS = {
    "participants": (
        "participant_id",
        "group",
        "age_years",
        "sex",
        "height_cm",
        "weight_kg",
        "tumour_type",
        "tumour_stage",
        "karnofsky",
        "current_treatment",
    ),
    "sessions": ("session_id", "participant_id", "recorded_at", "prompt", "language", "duration_s", "device"),
    "pain_scores": (
        "session_id",
        "nrs_self",
        "nrs_observer",
        "pain_change",
        "pain_description",
        "quality_of_life",
    ),
    "analgesics": ("session_id", "drug_name", "dose", "dose_unit", "frequency_per_day"),
    "questionnaire": (
        "session_id",
        "mood",
        "perceived_intensity",
        "perceived_expressiveness",
        "ease_verbal",
        "ease_nonverbal",
    ),
    "consent": ("participant_id", "form_version", "consented_at", "share_features", "withdrawn_at"),
}

Row = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One participant of the chimera: a line of each clinical table, and the names of the sessions in time order."""

    name: str
    lung: Mapping[str, str]
    gargle: Mapping[str, str]
    block: Mapping[str, str]
    times: tuple[str, ...]
    control: bool


def read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def subjects(data: Path) -> Iterator[Subject]:
    """As many as the lung trial has, in its order."""
    clinical = data / "clinical"
    measured = [row for row in read(clinical / "medicaldata_licorice_gargle.csv") if any(row[time] for time in TIMES)]
    blocks = read(clinical / "medicaldata_supraclavicular.csv")
    lungs = read(clinical / "lung_ncctg_lifelines.csv")
    for number, (lung, gargle) in enumerate(zip(lungs, measured, strict=False)):
        times = tuple(time for time in TIMES if gargle[time])
        control = all(int(gargle[time]) == 0 for time in times)
        yield Subject(
            name=f"NCCTG-{number + 1:03d}",
            lung=lung,
            gargle=gargle,
            block=blocks[number] if number < len(blocks) else {},
            times=times[:1] if control else times,
            control=control,
        )


def participant(subject: Subject) -> Row:
    body_mass_index = float(subject.gargle["preOp_calcBMI"])
    karnofsky = subject.lung["ph.karno"]
    return {
        "participant_id": subject.name,
        "group": "control" if subject.control else "pain",
        "age_years": subject.lung["age"],
        "sex": SEXES[subject.lung["sex"]],
        "height_cm": str(HEIGHT_CM),
        "weight_kg": f"{body_mass_index * (HEIGHT_CM / 100) ** 2:.2f}",
        "tumour_type": "lung",
        "karnofsky": karnofsky and str(int(float(karnofsky))),
    }


def voice_sessions(voices: Sequence[Row]) -> list[list[Row]]:
    """The lines of the openSMILE file by voice: `syn01_nl_s1.wav` is voice 01, Dutch, its first session."""
    by_voice: dict[str, list[Row]] = {}
    for row in voices:
        by_voice.setdefault(row["file"].split("_")[0], []).append(row)
    return list(by_voice.values())


def seconds(text: str) -> str:
    """`0 days 00:00:03.375562500` is 3.38 seconds."""
    parts = re.fullmatch(r"0 days (\d\d):(\d\d):(\d\d(?:\.\d+)?)", text)
    if parts is None:
        raise SystemExit("the 'end' column of the openSMILE file has an unknown form")
    hours, minutes, rest = parts.groups()
    return f"{int(hours) * 3600 + int(minutes) * 60 + float(rest):.2f}"


def build(data: Path) -> dict[str, list[Row]]:
    """The rows of every clinical table."""
    tables: dict[str, list[Row]] = {name: [] for name in COLUMNS}
    voices = iter(voice_sessions(read(data / VOICES)))
    for subject in subjects(data):
        # The voices, of two sessions each, go to the first who have more than one session: that is, who have pain.
        spoken = [] if subject.control else next(voices, [])
        tables["participants"].append(participant(subject))
        tables["consent"].append(
            {"participant_id": subject.name, "consented_at": CONSENTED, "share_features": "yes", "form_version": "1.0"}
        )
        for number, time in enumerate(subject.times):
            session = {"participant_id": subject.name, "recorded_at": TIMES[time]}
            name = f"{subject.name}-T{number + 1}"
            if number < len(spoken):
                name = spoken[number]["file"].removesuffix(".wav")
                session |= {"language": name.split("_")[1], "duration_s": seconds(spoken[number]["end"])}
            tables["sessions"].append(session | {"session_id": name})
            tables["pain_scores"].append({"session_id": name, "nrs_self": subject.gargle[time]})
            if number == 0 and float(subject.block.get("fentanyl") or 0) > 0:
                drug = {"drug_name": "fentanyl", "dose": subject.block["fentanyl"], "dose_unit": "mcg"}
                tables["analgesics"].append({"session_id": name} | drug)
    return tables


def write(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    with path.open("x", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Map real files of other studies onto a source folder (a chimera).")
    parser.add_argument("data", type=Path, metavar="DATA_FOLDER", help="openface/, opensmile/ and clinical/ lie here")
    parser.add_argument("target", type=Path, metavar="TARGET", help="the new source folder")
    parser.add_argument("--with-refused", action="store_true", help="put in a file that validate must refuse")
    arguments = parser.parse_args()
    data, target = arguments.data, arguments.target
    if not (data / VOICES).is_file():
        parser.error("DATA_FOLDER does not hold the real files")
    if target.exists():
        parser.error("TARGET is already there; name a new folder")
    tables = build(data)
    faces = FACES | NOT_OPENFACE if arguments.with_refused else FACES
    (target / "face").mkdir(parents=True)
    for original, session in faces.items():
        shutil.copyfile(data / "openface" / original, target / "face" / f"{session}.csv")
    shutil.copyfile(data / VOICES, target / "voice_functionals.csv")
    for name, rows in tables.items():
        write(target / f"{name}.csv", COLUMNS[name], rows)
    counts = ", ".join(f"{name} {len(rows)}" for name, rows in tables.items())
    sys.stdout.write(f"{counts}, face recordings {len(faces)}\n")


if __name__ == "__main__":
    main()
