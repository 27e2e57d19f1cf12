"""The log: every changed byte is found, and so is every line that is moved, cut or added."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from sensai_release.errors import ReleaseFormatError
from sensai_release.governance.log import (
    LogEntry,
    check_checkpoint,
    checkpoint_of,
    next_entry,
    parse_log,
    unfinished,
)

SALTS = [f"{number:032x}" for number in range(10)]
STEPS: list[tuple[str, dict[str, Any]]] = [
    ("key", {"id": "0011223344556677", "role": "steward"}),
    ("build", {"ok": True, "gates": {"k_min": True}}),
    ("release.intent", {"version": "1.0.0"}),
    ("release", {"version": "1.0.0", "manifest_sha256": "0" * 64}),
    ("approve", {"version": "1.0.0"}),
]


def made(steps: list[tuple[str, dict[str, Any]]]) -> list[LogEntry]:
    entries: list[LogEntry] = []
    for number, (event, facts) in enumerate(steps):
        at = f"2026-03-14T10:32:0{number}Z"
        entries.append(next_entry(entries, event, facts, at=at, salt=SALTS[number]))
    return entries


LOG = made(STEPS)
DATA = b"".join(entry.to_line() for entry in LOG)


def test_a_log_reads_back() -> None:
    parsed = parse_log(DATA)
    assert parsed.whole
    assert list(parsed.entries) == LOG
    assert parse_log(b"").whole


def test_every_flip_is_found() -> None:
    """In its own line, by the chain in the next one, or, where none follows, by the signed head."""
    head = checkpoint_of(LOG, "log")
    ends = [DATA.index(entry.to_line()) + len(entry.to_line()) for entry in LOG]
    for position in range(len(DATA)):
        changed = bytearray(DATA)
        changed[position] ^= 1
        parsed = parse_log(bytes(changed))
        line = 1 + sum(end <= position for end in ends)
        if parsed.whole:
            fault = check_checkpoint(parsed.entries, head)
            assert fault is not None, position
            assert line == len(LOG), position
        else:
            assert len(parsed.entries) in (line - 1, line), position


def lines() -> list[bytes]:
    return DATA.splitlines(keepends=True)


def test_a_line_that_is_left_out_moved_or_doubled_breaks_the_chain() -> None:
    whole = lines()
    for changed in (whole[1:], [*whole[:2], *whole[3:]], [whole[1], whole[0], *whole[2:]], [whole[0], *whole]):
        assert [fault.code for fault in parse_log(b"".join(changed)).faults] == ["log.chain"]


def test_a_cut_end_is_seen_by_the_checkpoint_alone() -> None:
    cut = parse_log(b"".join(lines()[:-1]))
    assert cut.whole
    fault = check_checkpoint(cut.entries, checkpoint_of(LOG, "log"))
    assert fault is not None
    assert fault.code == "log.cut"


def test_a_log_written_anew_from_some_line_on_is_seen_by_the_checkpoint() -> None:
    head = checkpoint_of(LOG, "log")
    rewritten = made([*STEPS[:1], ("build", {"ok": False}), *STEPS[2:]])
    assert parse_log(b"".join(entry.to_line() for entry in rewritten)).whole
    fault = check_checkpoint(rewritten, head)
    assert fault is not None
    assert fault.code == "log.rewritten"
    assert check_checkpoint(made([*STEPS, ("status", {})]), head) is None


def test_a_time_is_committed_to_and_not_shown() -> None:
    entry = LOG[3]
    assert entry.at.encode() not in entry.leaf
    assert replace(entry, at="2026-03-14T10:32:09Z").digest != entry.digest
    document = json.loads(entry.to_line())
    document["time"]["at"] = "2026-03-15T10:32:03Z"
    line = json.dumps(document, separators=(",", ":"), sort_keys=True).encode() + b"\n"
    parsed = parse_log(b"".join([*lines()[:3], line, lines()[4]]))
    assert [(fault.code, fault.line) for fault in parsed.faults] == [("log.malformed", 4)]


def test_a_torn_last_line_is_told_apart_from_a_changed_one() -> None:
    parsed = parse_log(DATA[:-10])
    assert parsed.faults == ()
    assert parsed.torn
    assert len(parsed.entries) == len(LOG) - 1


@pytest.mark.parametrize(
    "line",
    [b"{}", b"[]", b"null", b"\xff", b'{"leaf":1,"time":2}', b'{"leaf":{},"time":{}}', b"", b"[" * 100_000],
    ids=lambda line: repr(line[:20]),
)
def test_a_line_that_is_no_entry(line: bytes) -> None:
    parsed = parse_log(DATA + line + b"\n")
    assert [(fault.code, fault.line) for fault in parsed.faults] == [("log.malformed", len(LOG) + 1)]


def test_what_must_not_be_logged() -> None:
    with pytest.raises(ReleaseFormatError, match="more than 65536 bytes"):
        next_entry([], "build", {"text": "x" * 70_000}, at="2026-03-14T10:32:00Z", salt=SALTS[0])
    with pytest.raises(ValueError, match="no such event"):
        next_entry([], "unheard-of", {}, at="2026-03-14T10:32:00Z", salt=SALTS[0])


def test_an_intent_without_its_end() -> None:
    assert unfinished(LOG) is None
    assert unfinished(LOG[:3]) == LOG[2]
    assert unfinished(made([*STEPS[:3], ("release.abandoned", {"version": "1.0.0"})])) is None
    assert unfinished([]) is None
