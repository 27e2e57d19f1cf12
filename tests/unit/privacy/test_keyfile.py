from __future__ import annotations

import base64
import copy
import hashlib
import os
import pickle
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from sensai_release.errors import KeyFileError, OutputExistsError, TrustError
from sensai_release.privacy.escrow import load_escrow_private_key
from sensai_release.privacy.key_strength import SMALL_ORDER_ENCODINGS
from sensai_release.privacy.key_text import PRIVATE_LABEL, KeyText, format_key
from sensai_release.privacy.keyfile import (
    KeyRole,
    RootKey,
    check_public_key,
    find_key,
    load_public_key_file,
    load_root_key,
    load_signing_key,
    public_key_id,
    read_private,
    write_private_key,
)

ALL_ROLES: tuple[KeyRole, ...] = ("root", "steward", "reviewer", "recipient", "escrow")
SECRET = hashlib.sha256(b"a fixed secret for tests").digest()


LOADERS: dict[KeyRole, Callable[[Path], object]] = {
    "root": load_root_key,
    "steward": lambda path: load_signing_key(path, roles=("steward",)),
    "reviewer": lambda path: load_signing_key(path, roles=("reviewer",)),
    "recipient": lambda path: read_private(path, ("recipient",), PRIVATE_LABEL),
    "escrow": load_escrow_private_key,
}


def pem(path: Path) -> bytes:
    text = path.read_bytes()
    return text[text.index(b"-----BEGIN") :]


@pytest.mark.parametrize("role", ALL_ROLES)
def test_private_key_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path, role: KeyRole) -> None:
    for umask in (0o000, 0o777):
        path = tmp_path / f"{role}-{umask}"
        before = os.umask(umask)
        try:
            info = write_private_key(path, role=role, name="Data Office")
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        public = path.with_name(path.name + ".pub")
        assert public.exists() is (role != "root")
        assert (info.public is None) is (role == "root")


def test_root_key_round_trip(tmp_path: Path) -> None:
    info = write_private_key(tmp_path / "root.key", role="root", name="Data Office")
    key = load_root_key(tmp_path / "root.key")
    assert (key.key_id, key.name, len(key.secret)) == (info.key_id, "Data Office", 32)
    other = write_private_key(tmp_path / "other.key", role="root", name="Data Office")
    assert other.key_id != info.key_id
    assert hashlib.sha256(key.secret).hexdigest()[:16] != info.key_id


@pytest.mark.parametrize("role", ["steward", "reviewer"])
def test_signing_key_round_trip_and_pem_interoperability(tmp_path: Path, role: KeyRole) -> None:
    path = tmp_path / "key"
    info = write_private_key(path, role=role, name="Frank \u00c9")
    key = load_signing_key(path)
    public = load_public_key_file(tmp_path / "key.pub")
    assert key.public == public.raw == info.public
    assert key.key_id == public.key_id == info.key_id == hashlib.sha256(key.public).hexdigest()[:16]
    assert (public.role, public.name) == (role, "Frank \u00c9")
    theirs = load_pem_public_key(pem(tmp_path / "key.pub"))
    theirs.verify(key.private.sign(b"payload"), b"payload")  # type: ignore[call-arg,union-attr]
    assert load_pem_private_key(pem(path), None).private_bytes_raw() == key.private.private_bytes_raw()  # type: ignore[union-attr]
    check_public_key(key.public)


def test_recipient_public_key(tmp_path: Path) -> None:
    info = write_private_key(tmp_path / "key", role="recipient", name="Lab")
    assert load_public_key_file(tmp_path / "key.pub").raw == info.public
    with pytest.raises(KeyFileError, match="made for the role recipient, not for steward or reviewer"):
        load_signing_key(tmp_path / "key")


def test_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("precious")
    with pytest.raises(OutputExistsError):
        write_private_key(path, role="steward", name="A")
    assert path.read_text() == "precious"
    (tmp_path / "new.pub").write_text("precious")
    with pytest.raises(OutputExistsError):
        write_private_key(tmp_path / "new", role="steward", name="A")
    assert not (tmp_path / "new").exists()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputExistsError):
        write_private_key(tmp_path / "link", role="root", name="A")


@pytest.mark.parametrize("role", ["steward", "reviewer", "recipient", "escrow"])
def test_a_private_key_alone_gets_its_public_half(tmp_path: Path, role: KeyRole) -> None:
    path, public = tmp_path / "key", tmp_path / "key.pub"
    made = write_private_key(path, role=role, name="A")
    before = {file: (file.read_bytes(), file.stat().st_mode) for file in (path, public)}
    public.unlink()
    again = write_private_key(path, role=role, name="Another name")
    assert (made.completed, again.completed) == (False, True)
    assert (again.name, again.key_id, again.public) == (made.name, made.key_id, made.public)
    assert {file: (file.read_bytes(), file.stat().st_mode) for file in (path, public)} == before


def test_only_a_sound_key_of_that_role_is_completed(tmp_path: Path) -> None:
    path, public = tmp_path / "key", tmp_path / "key.pub"
    write_private_key(path, role="steward", name="A")
    public.unlink()
    sound = path.read_bytes()
    (tmp_path / "link").symlink_to(path)
    attempts: list[tuple[Path, bytes, int, KeyRole]] = [
        (path, sound, 0o600, "reviewer"),
        (path, sound, 0o600, "escrow"),
        (path, sound, 0o600, "root"),
        (path, sound, 0o644, "steward"),
        (path, sound[:-5], 0o600, "steward"),
        (tmp_path / "link", sound, 0o600, "steward"),
    ]
    for target, data, mode, role in attempts:
        path.write_bytes(data)
        path.chmod(mode)
        with pytest.raises(OutputExistsError):
            write_private_key(target, role=role, name="A")
        assert path.read_bytes() == data
    assert sorted(file.name for file in tmp_path.iterdir()) == ["key", "link"]


def test_a_failure_leaves_no_half_a_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    real = os.fsync

    def fail_on_second(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(28, "no space")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fail_on_second)
    with pytest.raises(KeyFileError, match="cannot be written: No space left on device; no part of it was left"):
        write_private_key(tmp_path / "key", role="steward", name="A")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", " ", "a\nrole: root", "a" * 101, "tab\there", " padded", "\u202eevil"])
def test_bad_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyFileError):
        write_private_key(tmp_path / "key", role="root", name=name)
    assert list(tmp_path.iterdir()) == []


def test_folder_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError) as caught:
        write_private_key(tmp_path / "secret-place" / "key", role="root", name="A")
    assert "secret-place" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o660, 0o644, 0o602])
def test_key_that_others_can_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "root.key"
    write_private_key(path, role="root", name="A")
    path.chmod(mode)
    with pytest.raises(KeyFileError, match="can be read by others") as caught:
        load_root_key(path)
    assert str(tmp_path) not in str(caught.value)


def test_links_pipes_folders_and_absent_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    write_private_key(path, role="root", name="A")
    (tmp_path / "link").symlink_to(path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    expected = {"link": "symbolic link", "pipe": "regular file", "folder": "regular file", "absent": "not there"}
    for name, words in expected.items():
        with pytest.raises(KeyFileError, match=words):
            load_root_key(tmp_path / name)


def rewrite(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def test_damaged_files_are_refused_without_showing_the_key(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    write_private_key(path, role="root", name="A")
    good = path.read_bytes()
    body = good.splitlines()[5]
    bad = {
        "empty": b"",
        "cut": good[:-40],
        "short": good.replace(body, body[:40]),
        "extra line": b"hello\n" + good,
        "no header": good[good.index(b"role") :],
        "version": good.replace(b"key: 1", b"key: 2"),
        "role": good.replace(b"role: root", b"role: queen"),
        "padding": good.replace(body, body[:-1]),
        "trailing bits": good.replace(body, body[:-2] + b"/="),
        "space": good.replace(body, body[:10] + b" " + body[10:]),
        "label": good.replace(b"SENSAI RELEASE ROOT KEY", b"PRIVATE KEY"),
        "binary": good + b"\xff",
        "second": good + good,
        "large": good + b"\n" * 20000,
    }
    if body.endswith(b"/="):
        bad.pop("trailing bits")
    for data in bad.values():
        with pytest.raises(KeyFileError) as caught:
            load_root_key(rewrite(path, data))
        assert body.decode() not in str(caught.value)
        assert caught.value.__cause__ is None
    rewrite(path, good.replace(b"\n", b"\r\n"))
    assert load_root_key(path).name == "A"


@pytest.mark.parametrize(
    "secret",
    [
        bytes(32),
        b"\xff" * 32,
        bytes(range(32)),
        bytes(range(0, 96, 3)),
        b"0123456789abcdef0123456789abcdef",
        b"correct horse battery staple AAAA",
        b"ab" * 16,
        SECRET[:31],
        SECRET + b"x",
        SECRET[:15] * 2 + SECRET[:2],
        SECRET[:16] * 2,
        "sixteen chars ok".encode("utf-16-le"),
        b"a passphrase, then zeros".ljust(32, b"\0"),
        b"two lines of text\nwith tabs\there",
        "\u0437\u043e\u043b\u043e\u0442\u0430\u044f \u0440\u044b\u0431\u043a\u0430 7!xY".encode()[:32].ljust(32, b"?"),
        "\u6211\u4eec\u7684\u79d8\u5bc6\u5bc6\u94a5\u662f\u8fd9\u4e2a\u5417".encode()[:32],
        b"QmFzZTY0IG9mIGEgcGFzc3BocmFzZSE=",
        hashlib.md5(b"x", usedforsecurity=False).hexdigest().encode(),
        SECRET[:21] + b"\xaa" * 11,
        bytes(range(255, 223, -1)),
    ],
)
def test_weak_roots_are_refused(secret: bytes) -> None:
    with pytest.raises(ValueError, match="root key"):
        RootKey(secret=secret, key_id="0" * 16)


def test_random_roots_are_not_refused() -> None:
    for number in range(5000):
        assert RootKey(secret=hashlib.sha256(str(number).encode()).digest(), key_id="0" * 16).name == ""


@pytest.mark.parametrize("role", ALL_ROLES)
def test_a_key_file_cut_anywhere_is_refused_and_never_shown(tmp_path: Path, role: KeyRole) -> None:
    path = tmp_path / "key"
    write_private_key(path, role=role, name="A")
    good = path.read_bytes()
    load = LOADERS[role]
    load(path)
    secret = good.splitlines()[-1 if role == "escrow" else 5].decode()
    for length in range(len(good) - 1):  # the last byte is a line end, which may be missing
        with pytest.raises(KeyFileError) as caught:
            load(rewrite(path, good[:length]))
        assert secret[:20] not in str(caught.value)
        assert caught.value.__cause__ is None
    load(rewrite(path, good[:-1]))
    for data in (good + good, good + b"\n", b"\n" + good, b"\xef\xbb\xbf" + good, good[:-1] + b"\0\n", good.upper()):
        with pytest.raises(KeyFileError):
            load(rewrite(path, data))


@pytest.mark.parametrize("role", ALL_ROLES)
@pytest.mark.parametrize("other", ALL_ROLES)
def test_a_key_serves_its_own_role_alone(tmp_path: Path, role: KeyRole, other: KeyRole) -> None:
    path = tmp_path / "key"
    write_private_key(path, role=role, name="A")
    if role == other:
        LOADERS[other](path)
        return
    with pytest.raises(KeyFileError, match=f"made for the role {role}, not for"):
        LOADERS[other](path)
    # A changed header makes no other key of it.
    if other == "recipient" or {role, other} == {"steward", "reviewer"}:
        return  # both sign, and the trust file tells whom a signature speaks for; recipients' keys are not read yet
    relabelled = path.read_bytes().replace(f"role: {role}".encode(), f"role: {other}".encode())
    with pytest.raises(KeyFileError):
        LOADERS[other](rewrite(path, relabelled))


def test_no_concatenation_of_two_keys_is_a_key(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_private_key(tmp_path / name, role="root", name="A")
    one, two = (tmp_path / name for name in ("one", "two"))
    bodies = [path.read_bytes().splitlines(keepends=True) for path in (one, two)]
    joined = b"".join([*bodies[0][:6], bodies[1][5], *bodies[0][6:]])
    raw = b"".join(base64.b64decode(lines[5]) for lines in bodies)
    sixty_four = base64.b64encode(raw)
    long = b"".join([*bodies[0][:5], sixty_four[:64] + b"\n", sixty_four[64:] + b"\n", *bodies[0][6:]])
    for data in (joined, long):
        with pytest.raises(KeyFileError):
            load_root_key(rewrite(one, data))


def test_nobody_wins_a_race_over_another_ones_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look before is a courtesy; what counts is that the file is created exclusively."""
    monkeypatch.setattr(os.path, "lexists", lambda path: False)
    (tmp_path / "key").write_text("precious")
    (tmp_path / "new.pub").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("key", "new", "link"):
        with pytest.raises(OutputExistsError):
            write_private_key(tmp_path / name, role="steward", name="A")
    assert (tmp_path / "key").read_text() == (tmp_path / "new.pub").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key", "link", "new.pub"]


_RACE = """
import sys, time
from pathlib import Path
from sensai_release.errors import OutputExistsError
from sensai_release.privacy.keyfile import write_private_key
folder = Path(sys.argv[1])
(folder / sys.argv[2]).touch()
while not (folder / "go").exists():
    time.sleep(0.0005)
won = 0
for number in range(40):
    try:
        write_private_key(folder / f"{number}.key", role="steward", name=sys.argv[2])
        won += 1
    except OutputExistsError:
        pass
print(won)
"""


def test_two_processes_never_make_the_same_key(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _RACE, str(tmp_path)]
    names = ("first", "second")
    racers = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in names]
    while not all((tmp_path / name).exists() for name in names):
        assert all(racer.poll() is None for racer in racers)
        time.sleep(0.001)
    (tmp_path / "go").touch()
    won = [int(racer.communicate()[0]) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert sum(won) == 40
    for number in range(40):
        path = tmp_path / f"{number}.key"
        assert load_public_key_file(path.with_name(path.name + ".pub")).raw == load_signing_key(path).public


def test_a_signing_key_from_a_file_gives_the_known_answer(tmp_path: Path) -> None:
    """RFC 8032, 7.1, test 3 (`test_dsse` has the others); PKCS#8 around the seed is RFC 8410, section 7."""
    public = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
    seed = "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"
    content = bytes.fromhex("302e020100300506032b657004220420" + seed)
    text = KeyText(role="steward", name="A", key_id=public_key_id(public), label=PRIVATE_LABEL, content=content)
    key = load_signing_key(rewrite(tmp_path / "key", format_key(text)))
    assert key.public == public
    signature = key.private.sign(bytes.fromhex("af82")).hex()
    assert signature.startswith("6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac")
    assert signature.endswith("18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a")


def test_old_keys_are_told_by_their_name(tmp_path: Path) -> None:
    write_private_key(tmp_path / "root.key", role="root", name="A")
    old = write_private_key(tmp_path / "old.key", role="root", name="A")
    (tmp_path / "old.key").rename(tmp_path / f"root.{old.key_id}.key")
    write_private_key(tmp_path / ".hidden.key", role="root", name="A")
    assert find_key(tmp_path, "root") == tmp_path / "root.key"
    # Another key's id in the name retires nothing.
    strange = tmp_path / "root.0000000000000000.key"
    (tmp_path / "root.key").rename(strange)
    assert find_key(tmp_path, "root") == strange


def test_mixed_up_key_files_are_refused(tmp_path: Path) -> None:
    for role in ALL_ROLES:
        write_private_key(tmp_path / role, role=role, name="A")
    with pytest.raises(KeyFileError, match="made for the role steward, not for root"):
        load_root_key(tmp_path / "steward")
    with pytest.raises(KeyFileError, match="made for the role steward, not for reviewer"):
        load_signing_key(tmp_path / "steward", roles=("reviewer",))
    with pytest.raises(KeyFileError, match="not a public key file"):
        load_public_key_file(tmp_path / "steward")
    with pytest.raises(KeyFileError, match="not a public key file"):
        load_public_key_file(tmp_path / "root")
    with pytest.raises(KeyFileError, match="role escrow, not for a person"):
        load_public_key_file(tmp_path / "escrow.pub")
    text = (tmp_path / "steward").read_bytes()
    swapped = (tmp_path / "reviewer").read_bytes()
    header, body = text.split(b"-----BEGIN", 1)[0], swapped.split(b"-----BEGIN", 1)[1]
    with pytest.raises(KeyFileError, match="key-id"):
        load_signing_key(rewrite(tmp_path / "steward", header + b"-----BEGIN" + body))
    disguised = (tmp_path / "recipient").read_bytes().replace(b"role: recipient", b"role: steward")
    with pytest.raises(KeyFileError, match="Ed25519"):
        load_signing_key(rewrite(tmp_path / "recipient", disguised))
    public = tmp_path / "recipient.pub"
    public.write_bytes(public.read_bytes().replace(b"role: recipient", b"role: steward"))
    with pytest.raises(KeyFileError, match="steward"):
        load_public_key_file(public)
    public = tmp_path / "steward.pub"
    rewrite(tmp_path / "copy", public.read_bytes())
    with pytest.raises(KeyFileError, match="does not hold a private key"):
        load_signing_key(tmp_path / "copy")


def test_a_damaged_key_under_its_usual_name_is_named(tmp_path: Path) -> None:
    (tmp_path / "root.key").write_text("correct horse battery staple")
    with pytest.raises(KeyFileError, match=r"key file root\.key: is no key file of this tool in use") as caught:
        find_key(tmp_path, "root")
    assert "horse" not in str(caught.value)
    with pytest.raises(KeyFileError, match="the key folder: holds no steward key"):
        find_key(tmp_path, "steward")


def test_find_key_reads_headers_only_of_real_key_files(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="no root key"):
        find_key(tmp_path, "root")
    for role in ALL_ROLES:
        write_private_key(tmp_path / f"my {role}", role=role, name="A")
    (tmp_path / "notes.txt").write_text("role: root\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "z").symlink_to(tmp_path / "my root")
    assert find_key(tmp_path, "root").name == "my root"
    assert find_key(tmp_path, "steward").name == "my steward"
    write_private_key(tmp_path / "another", role="root", name="B")
    with pytest.raises(KeyFileError, match="2 root keys"):
        find_key(tmp_path, "root")
    with pytest.raises(KeyFileError, match="cannot be read"):
        find_key(tmp_path / "absent", "root")


def test_secrets_never_show(tmp_path: Path) -> None:
    write_private_key(tmp_path / "root", role="root", name="A")
    write_private_key(tmp_path / "steward", role="steward", name="A")
    root, signing = load_root_key(tmp_path / "root"), load_signing_key(tmp_path / "steward")
    private = signing.private.private_bytes_raw()
    for shown in (repr(root), str(root), f"{root}"):
        assert root.secret.hex() not in shown
        assert repr(root.secret) not in shown
    assert private.hex() not in repr(signing)
    assert repr(private) not in repr(signing)
    for key in (root, signing):
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="never pickled"):
                attempt(key)


P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P


def add(one: tuple[int, int], two: tuple[int, int]) -> tuple[int, int]:
    (x1, y1), (x2, y2) = one, two
    factor = D * x1 * x2 * y1 * y2
    return (
        (x1 * y2 + x2 * y1) * pow(1 + factor, -1, P) % P,
        (y1 * y2 + x1 * x2) * pow(1 - factor, -1, P) % P,
    )


def decode(raw: bytes) -> tuple[int, int] | None:
    """RFC 8032, 5.1.3, but lenient: y is reduced and x = 0 may have a sign, as careless libraries do."""
    number = int.from_bytes(raw, "little")
    y, sign = (number & (2**255 - 1)) % P, number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square:
        return None
    return (P - x if x and x % 2 != sign else x), y


def test_list_of_small_order_encodings_is_right_and_complete() -> None:
    for raw in SMALL_ORDER_ENCODINGS:
        point = decode(raw)
        assert point is not None
        for _ in range(3):
            point = add(point, point)
        assert point == (0, 1)
        with pytest.raises(TrustError):
            check_public_key(raw)
    values = {decode(raw) for raw in SMALL_ORDER_ENCODINGS}
    assert len(values) == 8
    encodings = {
        (y + sign * 2**255 + times * P).to_bytes(32, "little")
        for _, y in (value for value in values if value)
        for sign in (0, 1)
        for times in (0, 1)
        if y + times * P < 2**255
    }
    assert encodings == set(SMALL_ORDER_ENCODINGS)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        bytes(31),
        bytes(33),
        (P + 3).to_bytes(32, "little"),
        (2**255 - 1).to_bytes(32, "little"),
        (2).to_bytes(32, "little"),  # on no point of the curve
    ],
)
def test_malformed_public_keys_are_refused(raw: bytes) -> None:
    with pytest.raises(TrustError):
        check_public_key(raw)


def test_base_point_and_rfc8032_key_are_accepted() -> None:
    check_public_key(bytes.fromhex("5866666666666666666666666666666666666666666666666666666666666666"))
    check_public_key(bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))
