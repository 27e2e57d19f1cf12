#!/usr/bin/env python3
"""Checks the release that this file lies in: nothing missing, nothing added, nothing changed, and who signed it.

    python3 verify.py [DIRECTORY] --key steward.pub
    python3 verify.py [DIRECTORY] --trust trust.json
    python3 verify.py [DIRECTORY] --integrity-only

One file, Python 3.8 or later, no other package; it reads and never writes. Get the public key or the trust file from
the people who made the release, never from the release itself. Whoever could change the release could also change this
file: when that matters, use a copy of it from elsewhere, or OpenSSL (README.md).
Exit code 0: verified. 1: the verdict is no. 2: the check could not be done.

It checks signatures, the file set, sizes, SHA-256 and SHA256SUMS, and says at the end what it leaves to
`sensai-release verify`. Ed25519 follows RFC 8032, the envelope DSSE v1, the manifest in-toto Statement v1.
"""
# ruff: noqa: PTH100, PTH118, PTH120, PTH123, UP006, UP031, UP035, UP045
# Python 3.8 has to read this file, hence the old forms; paths stay text, since a hostile name must stay as it is.
# Nothing may be imported before the next lines, not even __future__: Python looks into the folder of the script first,
# where a stranger may have put a json.py.

import sys

if __name__ == "__main__" and not sys.flags.isolated and not getattr(sys.flags, "safe_path", False):
    del sys.path[0]
    sys.dont_write_bytecode = True

import argparse
import base64
import datetime
import hashlib
import json
import os
import re
import stat
import time
import unicodedata
from decimal import Decimal
from typing import Any, Callable, Dict, Iterable, List, NoReturn, Optional, Set, Tuple

MANIFEST = "manifest.json"
ENVELOPE = "manifest.dsse.json"
CHECKSUMS = "SHA256SUMS"
PROOF = "manifest.tlog-proof"  # may be added after signing; what it says is for `sensai-release verify`
UNLISTED = {MANIFEST, ENVELOPE, CHECKSUMS}
VALID = "valid, freshness unknown"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:sensai-release:predicate:release:1"
MAXIMUM_BYTES = 128 << 20
MAXIMUM_ENTRIES = 200000
MAXIMUM_DEPTH = 32
CHUNK = 1 << 20

Problem = Tuple[str, str, str]  # code, path, sentence


class UnusableError(Exception):
    """The check could not be done (exit code 2)."""


class MalformedError(Exception):
    """A document of the release is not what it should be."""


# --- Ed25519 (RFC 8032, section 5.1), verification only; slow, and not secret, so timing does not matter -----------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_MINUS_ONE = pow(2, (P - 1) // 4, P)

Point = Tuple[int, int, int, int]  # extended homogeneous coordinates (X, Y, Z, T), section 5.1.4
IDENTITY: Point = (0, 1, 1, 0)


def add_points(one: Point, other: Point) -> Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(scalar: int, point: Point) -> Point:
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = add_points(result, point)
        point = add_points(point, point)
        scalar >>= 1
    return result


def same_point(one: Point, other: Point) -> bool:
    return (one[0] * other[2] - other[0] * one[2]) % P == 0 and (one[1] * other[2] - other[1] * one[2]) % P == 0


def decode_point(data: bytes) -> Optional[Point]:
    """Section 5.1.3; None unless the bytes are the one canonical encoding of a point of the curve."""
    number = int.from_bytes(data, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    if len(data) != 32 or y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if v * x * x % P == -u % P:
        x = x * SQRT_MINUS_ONE % P
    if v * x * x % P != u or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


def decode_base_point() -> Point:
    point = decode_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
    if point is None:
        raise ArithmeticError("the base point is a point of the curve")
    return point


BASE = decode_base_point()


def is_safe_key(public: bytes) -> bool:
    """Whether these are a point of the curve that is not of small order: for those, anybody can make signatures."""
    point = decode_point(public)
    return point is not None and not same_point(multiply(8, point), IDENTITY)


def ed25519_verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    """Section 5.1.7, strict: S below L, canonical encodings only, no key of small order, no factor 8."""
    key = decode_point(public)
    if key is None or not is_safe_key(public) or len(signature) != 64:
        return False
    nonce, s = decode_point(signature[:32]), int.from_bytes(signature[32:], "little")
    if nonce is None or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    return same_point(multiply(s, BASE), add_points(nonce, multiply(k, key)))


# --- documents ---------------------------------------------------------------------------------------------------


def decode_base64(text: Any) -> bytes:
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (AttributeError, ValueError):
        raise MalformedError("holds text that is not base64") from None
    if base64.b64encode(data).decode("ascii") != text:
        raise MalformedError("holds base64 that is not in its canonical form")
    return data


def parse_json(data: bytes) -> Any:
    """UTF-8, no key twice, no NaN, at most MAXIMUM_DEPTH levels."""

    def unique(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise MalformedError("has the same key twice")
        return found

    def refuse(_: str) -> NoReturn:
        raise MalformedError("has a number that JSON does not know")

    depth = deepest = 0
    for bracket in re.sub(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[^][{}"]+', b"", data, flags=re.DOTALL):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    if deepest > MAXIMUM_DEPTH:
        raise MalformedError("is nested too deeply")
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)
    except ValueError:
        raise MalformedError("is not JSON; it may have been cut short") from None


def canonical(value: Any) -> str:
    """RFC 8785: the only form in which a manifest is written."""
    if isinstance(value, dict):
        pairs = sorted(value.items(), key=lambda pair: pair[0].encode("utf-16-be"))
        return "{%s}" % ",".join("%s:%s" % (canonical(key), canonical(item)) for key, item in pairs)
    if isinstance(value, list):
        return "[%s]" % ",".join(map(canonical, value))
    return canonical_number(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def canonical_number(value: float) -> str:
    """Section 3.2.2.3: as ECMAScript writes a number."""
    sign, numerals, exponent = Decimal(repr(value)).normalize().as_tuple()
    digits, point = "".join(map(str, numerals)), len(numerals) + int(exponent)
    if value == 0:
        return "0"
    if len(digits) <= point <= 21:
        text = digits + "0" * (point - len(digits))
    elif 0 < point <= 21:
        text = digits[:point] + "." + digits[point:]
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        text = "%s%s%se%+d" % (digits[0], "." if len(digits) > 1 else "", digits[1:], point - 1)
    return "-" * sign + text


def read_envelope(data: bytes) -> Tuple[bytes, List[Tuple[str, bytes]]]:
    """The payload, and key id and value of each signature. MalformedError unless in the canonical byte form."""
    document = parse_json(data)
    try:
        pairs = [(item["keyid"], decode_base64(item["sig"])) for item in document["signatures"]]
        payload = decode_base64(document["payload"])
        if document["payloadType"] != PAYLOAD_TYPE or not 1 <= len(pairs) <= 64:
            raise MalformedError("is no envelope over a manifest")
        if sorted(pairs) != pairs or not all(re.match(r"[0-9a-f]{16}\Z", key_id) for key_id, _ in pairs):
            raise MalformedError("has its signatures out of order")
    except (KeyError, TypeError):
        raise MalformedError("is no envelope") from None
    signatures = [{"keyid": key_id, "sig": base64.b64encode(value).decode("ascii")} for key_id, value in pairs]
    canonical = {
        "payload": base64.b64encode(payload).decode("ascii"),
        "payloadType": PAYLOAD_TYPE,
        "signatures": signatures,
    }
    if json.dumps(canonical, separators=(",", ":")).encode("ascii") != data:
        raise MalformedError("is not in its canonical byte form")
    return payload, pairs


def read_manifest(payload: bytes) -> Dict[str, Tuple[str, int]]:
    """SHA-256 and size of each file. MalformedError when it is no statement of ours, or names what no release holds."""
    document = parse_json(payload)
    try:
        if canonical(document).encode("utf-8") != payload:
            raise MalformedError("is not in its canonical byte form")
        if sorted(document) != ["_type", "predicate", "predicateType", "subject"] or not document["predicate"]:
            raise MalformedError("is no statement about a release")
        if document["_type"] != STATEMENT_TYPE or document["predicateType"] != PREDICATE_TYPE:
            raise MalformedError("is a statement of another kind")
        listed = [read_entry(item) for item in document["subject"]]
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError):
        raise MalformedError("is no in-toto statement") from None
    names = [name for name, _, _ in listed]
    folded = {name.lower() for name in names}
    if not listed or names != sorted(names) or len(folded) != len(names):
        raise MalformedError("lists no file, or a file twice, or out of order")
    if folded & {folder.lower() for folder in folders_of(names)}:
        raise MalformedError("lists a file that is a folder too")
    return {name: (digest, size) for name, digest, size in listed}


def read_entry(item: Dict[str, Any]) -> Tuple[str, str, int]:
    name, digest, size = item["name"], item["digest"]["sha256"], item["annotations"]["size"]
    if (
        sorted(item) != ["annotations", "digest", "mediaType", "name"]
        or len(item["digest"]) + len(item["annotations"]) != 2
    ):
        raise MalformedError("lists a file in another form")
    if not is_plain_path(name) or name in UNLISTED or name == PROOF:
        raise MalformedError("lists a file under a name that no release has")
    if not re.match(r"[0-9a-f]{64}\Z", digest) or type(size) is not int or not 0 <= size < 2**53:
        raise MalformedError("lists a file without a proper size and SHA-256")
    if not re.match(r"[a-z]+/[a-z0-9.+-]+\Z", item["mediaType"]):
        raise MalformedError("lists a file without a proper type")
    return name, digest, size


def folders_of(paths: Iterable[str]) -> Set[str]:
    return {path[: match.start()] for path in paths for match in re.finditer("/", path)}


def is_plain_path(path: str) -> bool:
    component = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}(?<!\.)"
    device = r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|/|\Z)"
    # ASCII: else ignoring case would let the long s (U+017F) pass for an s.
    whole = rf"(?!{device}){component}(?:/(?!{device}){component}){{0,15}}\Z"
    return bool(re.match(whole, path, re.ASCII | re.IGNORECASE))


def printable(path: str) -> str:
    shown = ascii(path)[1:-1]
    return shown if len(shown) <= 200 else shown[:197] + "..."


# --- the directory -----------------------------------------------------------------------------------------------


def list_directory(root: str) -> Dict[str, Tuple[str, int]]:
    """Kind (file, folder, link, other) and size of everything below `root`; links are never followed."""
    found: Dict[str, Tuple[str, int]] = {}
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        with os.scandir(os.path.join(root, prefix)) as entries:
            for entry in entries:
                status, path = entry.stat(follow_symlinks=False), prefix + entry.name
                kind = "other"
                if stat.S_ISREG(status.st_mode):
                    kind = "file"
                elif entry.is_symlink() or getattr(status, "st_reparse_tag", None):
                    kind = "link"
                elif stat.S_ISDIR(status.st_mode):
                    kind = "folder"
                    waiting.append(path + "/")
                found[path] = (kind, status.st_size)
                if len(found) > MAXIMUM_ENTRIES or prefix.count("/") > MAXIMUM_DEPTH:
                    raise OSError("absurdly many entries")
    return found


def open_below(root: str, path: str) -> int:
    """A descriptor of a regular file that is reached through no link. Raises OSError."""
    folder = root
    for component in path.split("/")[:-1]:
        folder = os.path.join(folder, component)
        if not stat.S_ISDIR(os.lstat(folder).st_mode):
            raise OSError("not a folder")
    # O_NONBLOCK: opening a named pipe would wait for ever. Windows knows neither flag, and has no such pipes.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(os.path.join(root, path), flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("not a regular file")
    return descriptor


def read_below(root: str, path: str, limit: int = MAXIMUM_BYTES) -> bytes:
    with os.fdopen(open_below(root, path), "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError("longer than allowed")
    return data


def sha256_below(root: str, path: str, size: int) -> str:
    state = hashlib.sha256()
    with os.fdopen(open_below(root, path), "rb") as file:
        while size >= 0:
            block = file.read(min(CHUNK, size + 1))
            if not block:
                break
            state.update(block)
            size -= len(block)
    return state.hexdigest()


def file_set_problems(found: Dict[str, Tuple[str, int]], expected: Set[str]) -> List[Problem]:
    folders = folders_of(expected)
    allowed = expected | {PROOF}
    problems: List[Problem] = []
    for path, (kind, _) in found.items():
        if kind == "link":
            problems.append(("file.link", path, "is a link; a release holds plain files only"))
        elif kind == "other":
            problems.append(("file.special", path, "is neither a file nor a folder"))
        elif path not in (allowed if kind == "file" else folders):
            problems.append((kind + ".extra", path, "is not in the manifest"))
    missing = [path for path in expected if found.get(path, ("", 0))[0] != "file"]
    problems += [("file.missing", path, "is in the manifest and not here") for path in missing]
    return problems


def digest_problems(root: str, found: Dict[str, Tuple[str, int]], listed: Dict[str, Tuple[str, int]]) -> List[Problem]:
    problems: List[Problem] = []
    for path, (digest, size) in listed.items():
        kind, actual = found.get(path, ("", 0))
        if kind != "file":
            continue
        if actual != size:
            code = "size.shorter" if actual < size else "size.longer"
            problems.append((code, path, "has %d bytes, and had %d when it was signed" % (actual, size)))
            continue
        try:
            if sha256_below(root, path, size) != digest:
                problems.append(("digest.mismatch", path, "holds other bytes than were signed"))
        except OSError:
            problems.append(("file.unreadable", path, "cannot be read"))
    return problems


def checksum_problems(root: str, payload: bytes, listed: Dict[str, Tuple[str, int]]) -> List[Problem]:
    digests = {path: digest for path, (digest, _) in listed.items()}
    digests[MANIFEST] = hashlib.sha256(payload).hexdigest()
    expected = "".join("%s  %s\n" % (digests[path], path) for path in sorted(digests)).encode("ascii")
    try:
        same = read_below(root, CHECKSUMS) == expected
    except OSError:
        return [("checksums.unreadable", CHECKSUMS, "is missing or cannot be read")]
    return [] if same else [("checksums.changed", CHECKSUMS, "does not say what the manifest says")]


# --- whom to trust -------------------------------------------------------------------------------------------------


class Person:
    """`counts`: whether the key is valid today and was not revoked."""

    def __init__(self, name: str, roles: List[str], key: bytes, counts: bool = True) -> None:
        self.name, self.roles, self.key, self.counts = name, roles, key, counts
        self.identity = " ".join(unicodedata.normalize("NFKC", name).casefold().split())


class Trust:
    def __init__(self, people: List[Person], threshold: Dict[str, int]) -> None:
        self.people, self.threshold = people, threshold

    def missing(self, signed: Set[bytes]) -> List[str]:
        """The roles still to be filled. Counts people, each for one role only."""
        roles_of: Dict[str, Set[str]] = {}
        for person in self.people:
            if person.key in signed:
                roles_of.setdefault(person.identity, set()).update(person.roles)
        seats = [role for role in sorted(self.threshold) for _ in range(self.threshold[role])]
        taken: Dict[str, int] = {}

        def seat(index: int, asked: Set[str]) -> bool:
            for identity in sorted(roles_of):
                if seats[index] in roles_of[identity] and identity not in asked:
                    asked.add(identity)
                    if identity not in taken or seat(taken[identity], asked):
                        taken[identity] = index
                        return True
            return False

        return [role for index, role in enumerate(seats) if not seat(index, set())]


def trust_in_keys(texts: List[str]) -> Trust:
    """Each key given must have signed."""
    people = [Person("key %d" % number, ["signer"], load_key(text)) for number, text in enumerate(texts, start=1)]
    if len({person.key for person in people}) != len(people):
        raise UnusableError("--key: the same key is given twice")
    return Trust(people, {"signer": len(people)})


def load_key(text: str) -> bytes:
    """From a PEM file (SubjectPublicKeyInfo, RFC 8410), a file with 44 base64 characters, or these characters."""
    if not re.match(r"[A-Za-z0-9+/]{43}=\Z", text):
        text = read_outside(text, "--key", 1 << 16).decode("ascii", "replace").strip()
    match = re.search(r"-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----", text)
    try:
        raw = decode_base64("".join(match.group(1).split()) if match else text)
    except MalformedError:
        raise UnusableError("--key: is no public key (PEM, or 44 characters of base64)") from None
    prefix = bytes.fromhex("302a300506032b6570032100")
    if match:
        if raw[:12] != prefix:
            raise UnusableError("--key: is no Ed25519 public key")
        raw = raw[12:]
    if len(raw) != 32 or not is_safe_key(raw):
        raise UnusableError("--key: is no Ed25519 public key that can be trusted")
    return raw


def load_trust(path: str) -> Trust:
    today = time.strftime("%Y-%m-%d", time.gmtime())
    try:
        document = parse_json(read_outside(path, "--trust", 1 << 20))
        if sorted(document) != ["people", "threshold", "type", "version"] or document["type"] != "sensai-release/trust":
            raise MalformedError("is of another kind")
        if type(document["version"]) is not int or document["version"] != 1:
            raise MalformedError("is of another version")
        threshold = {role: document["threshold"][role] for role in document["threshold"]}
        if not threshold or set(threshold) - {"steward", "reviewer"}:
            raise MalformedError("asks for no signature, or for unknown roles")
        if not all(type(count) is int and 1 <= count <= 16 for count in threshold.values()):
            raise MalformedError("asks for an odd number of signatures")
        people = [read_person(item, today) for item in document["people"]]
        if len({person.key for person in people}) != len(people):
            raise MalformedError("has a key twice")
    except (KeyError, TypeError, AttributeError):
        raise UnusableError("--trust: is no trust file") from None
    except MalformedError as error:
        raise UnusableError("--trust: %s" % error) from None
    return Trust(people, threshold)


def read_person(item: Dict[str, Any], today: str) -> Person:
    days = [item[name] for name in ("valid_from", "valid_until", "revoked")]
    for day in days:
        if day is not None and (not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z", day) or not is_day(day)):
            raise MalformedError("has a day that is in no calendar")
    roles = item["roles"]
    if len(item) != 6 or type(roles) is not list or not roles or len(set(roles)) != len(roles):
        raise MalformedError("has a person in another form")
    if set(roles) - {"steward", "reviewer"}:
        raise MalformedError("has a person with an unknown role")
    counts = (days[0] or today) <= today <= (days[1] or today) and (days[2] is None or today < days[2])
    person = Person(item["name"], roles, decode_base64(item["public_key"]), counts)
    if not person.identity or not person.name.isprintable() or len(person.name) > 100:
        raise MalformedError("has an unprintable name")
    if not is_safe_key(person.key):
        raise MalformedError("has a key that must not be trusted")
    return person


def is_day(text: str) -> bool:
    try:
        datetime.date(*map(int, text.split("-")))
    except ValueError:
        return False
    return True


def read_outside(path: str, option: str, limit: int) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except (OSError, ValueError):
        raise UnusableError("%s: cannot read that file" % option) from None
    if len(data) > limit:
        raise UnusableError("%s: that file is too large" % option)
    return data


# --- the check -----------------------------------------------------------------------------------------------------

STEPS = (
    "The envelope can be read and holds manifest.json byte for byte",
    "The people you trust have signed it",
    "The manifest is well formed",
    "The files are those of the manifest: none missing, none added, no links",
    "Every file has its size and SHA-256",
    "SHA256SUMS agrees with the manifest",
)
NOT_CHECKED = """Not checked here: names in a trust file that only look alike, what the manifest says of the release
beyond its files, whether the tables fit their data dictionaries, waivers, the numbers of the datasheet and the risk
report, the proof of the log, and whether the release was withdrawn. `sensai-release verify` does.
"""


def verify(root: str, trust: Optional[Trust], integrity_only: bool) -> Tuple[str, List[Optional[List[Problem]]]]:
    """The verdict, and the problems of each step; None for a step that could not be run."""
    steps: List[Optional[List[Problem]]] = []
    # 1. The envelope, and manifest.json beside it.
    try:
        payload, signatures = read_envelope(read_below(root, ENVELOPE))
    except OSError:
        return "invalid", [[("envelope.unreadable", ENVELOPE, "is missing or cannot be read")]]
    except MalformedError as error:
        return "invalid", [[("envelope.malformed", ENVELOPE, str(error))]]
    try:
        steps.append(
            [] if read_below(root, MANIFEST) == payload else [("manifest.changed", MANIFEST, "is not what was signed")]
        )
    except OSError:
        steps.append([("manifest.unreadable", MANIFEST, "is missing or cannot be read")])
    # 2. The signatures.
    verdict = "intact, signer unknown"
    if trust is None:
        steps.append(
            [] if integrity_only else [("signer.unknown", ENVELOPE, "cannot be tied to anybody without --key")]
        )
    else:
        problems, signed = check_signatures(payload, signatures, trust)
        steps.append(problems)
        verdict = "not approved" if problems else VALID
        if any(code == "signature.broken" for code, _, _ in problems):
            verdict = "invalid"
        if not signed:
            return ("invalid" if steps[0] else verdict), steps
    # 3. The manifest, interpreted only now.
    try:
        listed = read_manifest(payload)
        steps.append([])
    except MalformedError as error:
        return "invalid", [*steps, [("manifest.malformed", MANIFEST, str(error))]]
    # 4. The file set. 5. Sizes and digests. 6. SHA256SUMS.
    try:
        found = list_directory(root)
        steps.append(file_set_problems(found, set(listed) | UNLISTED))
    except OSError:
        found = {}
        steps.append([("folder.unreadable", ".", "cannot be listed")])
    steps.append(digest_problems(root, found, listed))
    steps.append(checksum_problems(root, payload, listed))
    return ("invalid" if any(step for number, step in enumerate(steps) if number != 1) else verdict), steps


def check_signatures(
    payload: bytes, signatures: List[Tuple[str, bytes]], trust: Trust
) -> Tuple[List[Problem], Set[bytes]]:
    message = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode("ascii"), len(payload), payload)
    problems: List[Problem] = []
    signed: Set[bytes] = set()
    for key_id, value in signatures:
        for person in trust.people:
            if hashlib.sha256(person.key).hexdigest()[:16] == key_id:
                if not ed25519_verifies(person.key, message, value):
                    problems.append(("signature.broken", ENVELOPE, "has a signature that does not fit " + person.name))
                elif person.counts:
                    signed.add(person.key)
    problems += [("approval.missing", ENVELOPE, "lacks the signature of a %s" % role) for role in trust.missing(signed)]
    return problems, signed


EXPLANATIONS = (
    ("envelope. signature.broken", "The signatures do not fit the manifest: one of the two was changed or damaged."),
    ("manifest.", "The manifest is not the one that was signed."),
    ("file.link file.special", "Something lies there that no release holds. Do not open it; get the release again."),
    ("file.missing size.shorter", "Probably a download or a copy was cut off. Get the release again."),
    ("digest. size. checksums. file.unreadable", "Files were opened and saved again, damaged, or changed on purpose."),
    ("file.extra folder.", "There are files that do not belong to the release. Move them away and check again."),
    ("approval.", "Not everybody whose signature you ask for has signed, or it was signed by somebody else."),
)


def explain(verdict: str, codes: Set[str]) -> str:
    if verdict == VALID:
        return (
            "This is the release that was signed, complete and unchanged, and those you trust have signed it. Whether "
            "it has been withdrawn since, ask them, or `sensai-release verify --status`."
        )
    for prefixes, words in EXPLANATIONS:
        if any(code.startswith(tuple(prefixes.split())) for code in codes):
            return words
    return "The files fit their manifest, but anybody could have made both. Give --key or --trust to know who did."


def stated_name(root: str) -> str:
    """What the manifest says which release this is: the name of the folder is nobody's word."""
    try:
        stated = parse_json(read_below(root, MANIFEST))["predicate"]
        return "By its manifest this is %s.\n" % printable("%s-%s" % (stated["series"], stated["version"]))
    except (OSError, MalformedError, KeyError, TypeError):
        return ""


def print_report(verdict: str, steps: List[Optional[List[Problem]]], write: Callable[[str], Any]) -> None:
    codes: Set[str] = set()
    for number, name in enumerate(STEPS):
        problems = steps[number] if number < len(steps) else None
        mark = "not run" if problems is None else "FAILED" if problems else "ok"
        write("%-8s %d  %s\n" % (mark, number + 1, name))
        for code, path, words in sorted(problems or [], key=lambda problem: problem[1])[:50]:
            write(
                "            %s %s [%s]\n" % (printable(path), words.encode("ascii", "replace").decode("ascii"), code)
            )
        if problems and len(problems) > 50:
            write("            and %d more\n" % (len(problems) - 50))
        codes.update(code for code, _, _ in problems or [])
    write("\nVerdict: %s\n%s\n\n%s" % (verdict, explain(verdict, codes), NOT_CHECKED))


def main(arguments: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="verify.py", description="Checks a release. It reads and never writes.")
    parser.add_argument("directory", nargs="?", default=os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument(
        "--key", action="append", metavar="KEY", help="a public key: file (PEM or base64) or base64 text"
    )
    parser.add_argument("--trust", metavar="FILE", help="a trust file")
    parser.add_argument("--integrity-only", action="store_true", help="do not ask who signed")
    options = parser.parse_args(arguments)
    try:
        if options.key and options.trust:
            raise UnusableError("--key and --trust: give one of the two")
        if not any(os.path.lexists(os.path.join(options.directory, name)) for name in (MANIFEST, ENVELOPE)):
            raise UnusableError("that is no release directory: it holds no " + MANIFEST)
        trust = trust_in_keys(options.key) if options.key else load_trust(options.trust) if options.trust else None
    except UnusableError as error:
        sys.stderr.write("verify.py: %s\n" % error)
        return 2
    verdict, steps = verify(options.directory, trust, options.integrity_only)
    print_report(verdict, steps, sys.stdout.write)
    if len(steps) > 3 and not steps[0] and not steps[2]:
        sys.stdout.write("\n" + stated_name(options.directory))
    return 0 if verdict == VALID or (verdict == "intact, signer unknown" and options.integrity_only) else 1


if __name__ == "__main__":
    sys.exit(main())
