"""The package, verify.py and verify.html (opened from a file) on the same tampered releases: none is fooled alone.

What one of them is said not to check (waivers, tables, the log, the standing; links and empty folders in a browser) is
left to the tests of each.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from browser_kit import CHROMIUM, Browser, browser
from release_kit import PREDICATE, REVIEWER, STEWARD, STRANGER, Key, make_release, trust_in

from sensai_release.errors import TrustError
from sensai_release.release import dsse
from sensai_release.release.documents import canonical_json
from sensai_release.release.dsse import Envelope, Signature, sign
from sensai_release.release.readme import render_readme
from sensai_release.release.sealing import countersign_release
from sensai_release.release.trust import Person, Trust, load_trust, write_trust
from sensai_release.release.verify import verify_release

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")

STANDALONE = Path(dsse.__file__).with_name("standalone")
FOUR_EYES = trust_in(STEWARD, REVIEWER, steward=1, reviewer=1)
Spoil = Callable[[Path], object]


def envelope_of(release: Path) -> Envelope:
    return Envelope.from_bytes(release.joinpath("manifest.dsse.json").read_bytes(), "envelope")


def with_signature(key_id: str, value: bytes) -> Spoil:
    """Adds a signature that nobody made; in the order of bytes, which base64 does not keep."""

    def spoil(release: Path) -> None:
        found = envelope_of(release)
        added = Signature(key_id=key_id, value=value)
        data = replace(found, signatures=(*found.signatures, added)).to_bytes()
        release.joinpath("manifest.dsse.json").write_bytes(data)

    return spoil


def each(*spoils: Spoil) -> Spoil:
    return lambda release: [spoil(release) for spoil in spoils]


def broken(key: Key) -> Spoil:
    def spoil(release: Path) -> None:
        found = envelope_of(release)
        own = sign(found.payload, key)
        others = tuple(signature for signature in found.signatures if signature.key_id != own.key_id)
        changed = replace(own, value=bytes([own.value[0] ^ 1]) + own.value[1:])
        release.joinpath("manifest.dsse.json").write_bytes(replace(found, signatures=(*others, changed)).to_bytes())

    return spoil


def signed_anew(change: Callable[[bytes], bytes]) -> Spoil:
    """A manifest in another form, properly signed by both people."""

    def spoil(release: Path) -> None:
        payload = change(release.joinpath("manifest.json").read_bytes())
        signatures = (sign(payload, STEWARD), sign(payload, REVIEWER))
        release.joinpath("manifest.json").write_bytes(payload)
        data = Envelope(payload=payload, signatures=signatures).to_bytes()
        release.joinpath("manifest.dsse.json").write_bytes(data)
        sums = {item["name"]: item["digest"]["sha256"] for item in json.loads(payload)["subject"]}
        sums["manifest.json"] = hashlib.sha256(payload).hexdigest()
        release.joinpath("SHA256SUMS").write_text("".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))

    return spoil


def document(change: Callable[[dict[str, Any]], object]) -> Spoil:
    def edited(payload: bytes) -> bytes:
        found = json.loads(payload)
        change(found)
        return canonical_json(found)

    return signed_anew(edited)


def write(name: str, data: bytes = b"x") -> Spoil:
    def spoil(release: Path) -> None:
        release.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        release.joinpath(name).write_bytes(data)

    return spoil


def people(*named: tuple[str, Key]) -> Trust:
    return replace(
        FOUR_EYES, people=tuple(Person(name=name, roles=(key.role,), public_key=key.public) for name, key in named)
    )


def out_of_time(**days: date) -> Trust:
    trust = trust_in(STEWARD, REVIEWER, steward=1)
    return replace(trust, people=(trust.people[0], replace(trust.people[1], **days)))  # type: ignore[arg-type]


def list_more(name: str) -> Spoil:
    """A file that both people have signed, under a name that no release has."""

    def change(found: dict[str, Any]) -> None:
        digest = hashlib.sha256(b"x").hexdigest()
        entry = {"annotations": {"size": 1}, "digest": {"sha256": digest}, "mediaType": "text/plain", "name": name}
        found["subject"] = sorted([*found["subject"], entry], key=lambda item: item["name"])

    return each(write(name), document(change))


UNKNOWN = "0123456789abcdef"
OWN = sign(b"", STEWARD).key_id
GOOD: dict[str, tuple[Spoil, Trust]] = {
    "untouched": (each(), FOUR_EYES),
    "a stranger's signature": (with_signature(UNKNOWN, bytes(64)), FOUR_EYES),
    # In base64 0x00 is "AA" and 0xd0 is "0N": the order of bytes is not that of characters.
    "two of a stranger": (
        each(with_signature(UNKNOWN, b"\xd0" * 64), with_signature(UNKNOWN, bytes(64))), FOUR_EYES,
    ),
    "revoked, and not needed": (each(), out_of_time(revoked=date(2020, 1, 1))),
    "two persons": (each(), people(("Jan Weiss", STEWARD), ("Jan Weijs", REVIEWER))),
    "a listed file": (list_more("notes.txt"), FOUR_EYES),
}  # fmt: skip
BAD: dict[str, tuple[Spoil, Trust]] = {
    **{
        f"key id {key_id!r}": (with_signature(key_id, bytes(64)), FOUR_EYES)
        for key_id in ("", "zz", UNKNOWN.upper(), "\u00e9")
    },
    **{
        f"a second signature {value[0]} under a trusted id": (with_signature(OWN, value), FOUR_EYES)
        for value in (bytes(64), b"\xff" * 64)
    },
    "broken and revoked": (broken(REVIEWER), out_of_time(revoked=date(2020, 1, 1))),
    "broken and not valid yet": (broken(REVIEWER), out_of_time(valid_from=date(2999, 1, 1))),
    "broken and out of date": (broken(REVIEWER), out_of_time(valid_until=date(2020, 1, 1))),
    "signed: blank": (signed_anew(lambda payload: payload + b" "), FOUR_EYES),
    "signed: order": (document(lambda found: found["subject"].reverse()), FOUR_EYES),
    "signed: no predicate": (document(lambda found: found.pop("predicate")), FOUR_EYES),
    "signed: empty predicate": (document(lambda found: found.update(predicate={})), FOUR_EYES),
    "signed: more": (document(lambda found: found.update(more=1)), FOUR_EYES),
    "signed: more of a file": (document(lambda found: found["subject"][0].update(more=1)), FOUR_EYES),
    "signed: no type of a file": (document(lambda found: found["subject"][0].pop("mediaType")), FOUR_EYES),
    "signed: odd type of a file": (document(lambda found: found["subject"][0].update(mediaType="x")), FOUR_EYES),
    "signed: two digests": (
        document(lambda found: found["subject"][0]["digest"].update(sha512="0" * 128)), FOUR_EYES,
    ),
    "signed: 1.0": (signed_anew(lambda payload: payload.replace(b'"k_min":5', b'"k_min":5.0')), FOUR_EYES),
    **{
        f"signed: {name}": (list_more(name), FOUR_EYES)
        for name in (".hidden", "readme.md", "con.txt", "Data", "a" * 201)
    },
    **{
        f"added: {name!r}": (write(name, b""), FOUR_EYES)
        for name in (
            "zero", ".hidden", ".git/config", "data/participants/deep/er", "a" * 255, "/".join(["b" * 200] * 15),
            "/".join("d" * 40), "\u00e9", unicodedata.normalize("NFD", "\u00e9"), "readme.md", "README.md ", "a\nb",
            "data\\x", "README%2emd", "manifest.tlog-proof2", "\uff32EADME.md",
        )
    },
    "SHA256SUMS with the data": (
        each(write("TERMS.md"), lambda release: release.joinpath("SHA256SUMS").write_text(
            "".join(
                f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(release).as_posix()}\n"
                for path in sorted(release.rglob("*"))
                if path.is_file() and path.name not in ("SHA256SUMS", "manifest.dsse.json")
            )
        )),
        FOUR_EYES,
    ),
    "verify.py that says yes": (write("verify.py", b"print('Verdict: valid')"), FOUR_EYES),
}  # fmt: skip
# One person under two spellings. The package wants one spelling; what reads an older trust file counts one person.
SPELT_TWICE = [
    ("Jan Wei\u00df", "JAN WEISS"),
    ("JAN WEI\u1e9e", "jan weiss"),
    ("Jan  Smit", "jan smit"),
    ("So\ufb01", "SOFI"),
]
MALFORMED_TRUST: list[Callable[[str], str]] = [
    lambda text: text.replace('"threshold":', '"threshold":{"reviewer":9},"threshold":', 1),
    lambda text: text.replace('"revoked":null', '"revoked":"2020-01-01","revoked":null', 1),
    lambda text: text.replace('"valid_until":null', '"valid_until":"2999-02-30"', 1),
    lambda text: text.replace('"steward":1', '"steward":1.0'),
    lambda text: text.replace('"version":1', '"version":1.0'),
    lambda text: text.replace('"version":1', '"version":1,"more":1'),
    lambda text: text.replace('["reviewer"]', "[]"),
    lambda text: text.replace('["reviewer"]', '["reviewer","reviewer"]'),
    lambda text: text.replace('["reviewer"]', '["reviewer","owner"]'),
    lambda text: text.replace("Synthetic Reviewer", " "),
    lambda text: text.replace("Synthetic Reviewer", "Synthetic\u202eReviewer"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("page")
    copy = Path(shutil.copy(STANDALONE / "verify.html", folder))
    with browser(folder / "profile") as page:
        page.open(copy)
        yield page


@pytest.fixture
def release(tmp_path: Path) -> Path:
    make_release(tmp_path / "release")
    countersign_release(tmp_path / "release", REVIEWER)
    return tmp_path / "release"


def wait(page: Browser, expression: str) -> Any:
    for _ in range(400):
        if found := page.evaluate(expression):
            return found
        time.sleep(0.02)
    raise AssertionError(f"never: {expression}")


CHOSEN = "document.getElementById('chosen').textContent.match(/.*(?:chosen|cannot).*/)?.[0]"
VERDICT = "document.getElementById('progress').hidden && document.getElementById('verdict')?.dataset.ok"
SHOWN = "document.getElementById('result').textContent"


def choose(page: Browser, folder: Path) -> str:
    page.evaluate("document.getElementById('chosen').textContent = ''")
    page.choose_files("#folder", folder)
    return str(wait(page, CHOSEN))


def drop(page: Browser, folder: Path) -> str:
    page.evaluate("document.getElementById('chosen').textContent = ''")
    data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        page.call("Input.dispatchDragEvent", type=kind, x=200, y=200, data=data)
    return str(wait(page, CHOSEN))


def press(page: Browser, trust: str) -> bool:
    page.evaluate(f"document.getElementById('trust').value = {json.dumps(trust)}")
    page.evaluate("document.getElementById('check').click()")
    return bool(wait(page, VERDICT) == "true")


def says_yes(release: Path, trust: Path) -> bool:
    """verify.py of the package, not of the release: by a plain Python, without packages."""
    command = [sys.executable, "-I", str(STANDALONE / "verify.py"), str(release), "--trust", str(trust)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in result.stderr
    return result.returncode == 0


@pytest.mark.parametrize("name", [*GOOD, *BAD])
def test_all_three_say_the_same(release: Path, page: Browser, name: str) -> None:
    spoil, trust = (GOOD | BAD)[name]
    spoil(release)
    path = release.parent / "trust.json"
    write_trust(trust, path)
    choose(page, release)
    said = (
        verify_release(release, trust=trust, today=date(2026, 1, 31)).ok,
        says_yes(release, path),
        press(page, path.read_text()),
    )
    assert said == ((name in GOOD),) * 3


@pytest.mark.parametrize("names", SPELT_TWICE)
def test_one_person_spelt_twice_is_one_person(release: Path, page: Browser, names: tuple[str, str]) -> None:
    trust = people((names[0], STEWARD), (names[1], REVIEWER))
    path = release.parent / "trust.json"
    path.write_bytes(canonical_json(trust.to_dict()))
    choose(page, release)
    assert not verify_release(release, trust=trust, today=None).ok
    assert (says_yes(release, path), press(page, path.read_text())) == (False, False)


@pytest.mark.parametrize("change", MALFORMED_TRUST)
def test_a_malformed_trust_file_is_refused_by_all(release: Path, page: Browser, change: Callable[[str], str]) -> None:
    path = release.parent / "trust.json"
    text = canonical_json(trust_in(STEWARD, REVIEWER, steward=1).to_dict()).decode()
    path.write_text(text)
    choose(page, release)
    assert says_yes(release, path)
    assert press(page, text)
    assert change(text) != text
    path.write_text(change(text))
    with pytest.raises(TrustError):
        load_trust(path)
    assert (says_yes(release, path), press(page, change(text))) == (False, False)


def test_a_folder_can_be_dropped_on_a_page_that_was_opened_from_a_file(release: Path, page: Browser) -> None:
    text = canonical_json(FOUR_EYES.to_dict()).decode()
    count = sum(path.is_file() for path in release.rglob("*"))
    assert f"{count} files" in drop(page, release)
    assert press(page, text)
    release.joinpath("data", "empty").mkdir()
    drop(page, release)
    assert not press(page, text)
    assert "data/empty is not in the manifest" in page.evaluate(SHOWN)


def test_more_files_than_a_browser_hands_out_at_once(release: Path, page: Browser) -> None:
    for number in range(250):
        release.joinpath("data", f"x{number}").touch()
    drop(page, release)
    assert not press(page, canonical_json(FOUR_EYES.to_dict()).decode())
    assert "and 200 more" in page.evaluate(SHOWN)


def test_a_verdict_goes_with_what_it_was_about(release: Path, page: Browser, tmp_path: Path) -> None:
    text = canonical_json(FOUR_EYES.to_dict()).decode()
    make_release(tmp_path / "other", STRANGER)
    choose(page, release)
    assert press(page, text)
    choose(page, tmp_path / "other")
    assert page.evaluate(SHOWN) == ""
    assert not press(page, text)
    choose(page, release)
    assert press(page, text)
    page.evaluate("document.getElementById('trust').dispatchEvent(new Event('input'))")
    assert page.evaluate(SHOWN) == ""


def test_a_folder_that_cannot_be_read_whole_is_not_checked_in_part(release: Path, page: Browser) -> None:
    choose(page, release)
    release.joinpath("data").joinpath("\udcff").touch()
    assert "cannot look into the whole" in drop(page, release)
    assert page.evaluate("document.getElementById('check').disabled") is True


def test_the_documents_say_that_the_verifiers_inside_may_lie() -> None:
    guide = Path(__file__).parents[2] / "docs" / "guide-researcher.md"
    assert "always says yes" in guide.read_text(encoding="utf-8")
    readme = render_readme("x-1.0.0", "X", PREDICATE, {})
    assert "always say yes" in readme
    assert "../trust.json" in readme
