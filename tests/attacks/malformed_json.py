"""Documents that are no JSON, or none that leaves nothing to interpretation; by the kinds that parsers stumble over.

The kinds are those of the parsing tests that RFC 8259 parsers are commonly held against (arrays, objects, numbers,
strings, structure), with those that I-JSON (RFC 7493) adds: equal keys, lone surrogates, numbers beyond 2^53. Wherever
a text can stand, it is `PLANTED`, so that a message that quotes the document is found out.
"""

from __future__ import annotations

PLANTED = "Zq-Planted-Text-77"
_P = f'"{PLANTED}"'

_NUMBERS = (
    "++1", "+1", "+Inf", "-", "-01", "-012", "-1.0.", "-2.", "-NaN", "-Infinity", "-foo", "- 1", "-.5", "-1x", "-0x",
    ".-1", ".2e-3", ".5", "0.1.2", "0.3e+", "0.3e", "0.e1", "0E+", "0E", "0e+", "0e", "0e+-1", "00", "012", "0x",
    "0x1F", "0X42", "0b1", "0o7", "1.", "1.0e+", "1.0e-", "1.0e", "1 000", "1_000", "1eE2", "1ea", "1e", "1+2",
    "1.2a-3", "1.5H-308", "1f", "1L", "1..2", "2.e+3", "2.e-3", "2.e3", "9.e+", "Inf", "Infinity", "NaN", "nan",
    "inf", "1/2", "\uff11", "\u0661", "\u221e", "5%",
)  # fmt: skip

_ARRAYS = (
    f"[1 {_P}]", f"[{PLANTED}", f"[{_P}: 1]", f"[{_P}],", f"[,{_P}]", f"[1,,{_P}]", f"[{_P},,]", f"[{_P}]]",
    f"[{_P},]", f"[{_P}", "[3[4]]", "[1,", "[,", "[,]", f"[   , {_P}]", f"[{_P},\n4\n,1,", "[1,]", f"[{_P}\x0b]",
    f"[{_P}\f]", "[*]", "[\n1\n,1", "[{}", f"[1;{_P}]", f"({_P})", f"[{_P} {_P}]", "[:]", "[...]",
)  # fmt: skip

_LITERALS = (
    "[fals]", "[nul]", "[tru]", "nul", "[True]", "TRUE", "[None]", "[undefined]", "[truefalse]", "yes", "[nulll]",
    f"[{PLANTED}]", PLANTED, f"[{_P}, truth]", "[t]",
)  # fmt: skip

_OBJECTS = (
    f"{{[: {_P}}}", f"{{{_P}, null}}", f"{{{_P}::1}}", "{\U0001f1e8\U0001f1ed}", f"{{{_P}:{_P} 123}}",
    f"{{{PLANTED}: 1}}", f"{{{_P}}}", f"{{{_P} 1}}", f"{{:{_P}}}", f"{{{_P} {_P}}}", f"{{{_P}:", f"{{{_P}",
    f"{{1:{_P}}}", "{9999E9999:1}", "{null:null,null:null}", f"{{{_P}:0,,,,,}}", f"{{'{PLANTED}':0}}", f"{{{_P}:0,}}",
    f"{{{_P}:1}}/**/", f"{{{_P}:1}}/**//", f"{{{_P}:1}}//", f"{{{_P}:1}}/", f"{{{_P}:1,,\"b\":2}}", f"{{{_P}:\"a",
    f"{{ {_P} : 1, \"a\" }}", f"{{{_P}:1}}#", f"{{{_P}=1}}", f"{{{_P}:1;}}", f"{{/*c*/{_P}:1}}", "{,}", f"{{{_P}:}}",
    f"{{true:{_P}}}", f"{{,{_P}:1}}",
)  # fmt: skip

_STRINGS = (
    f'["{PLANTED}\\uD800\\"]', '["\\uD800\\u"]', '["\\uD800\\u1"]', '["\\uD800\\u1x"]', "[\u00e9]", '["\\x00"]',
    f'["{PLANTED}\\\\\\"]', '["\\\t"]', '["\\\U0001f300"]', '["\\"]', '["\\u00A"]', '["\\uD834\\uDd"]',
    '["\\uD800\\uD800\\x"]', '["\\uqqqq"]', '["\\a"]', f'[\\u0020{_P}]', "[\\n]", '"', f"['{PLANTED}']", '["\\',
    f'"{PLANTED}', '["\\v"]', '["\\0"]', "[\\u000A]", '["\\U0041"]', '["\\\x00"]', f'"{PLANTED}"x', f"`{PLANTED}`",
)  # fmt: skip

_STRUCTURE = (
    "<.>", "[<null>]", f"[{_P}]x", f"{_P}]", "a\u00e5", f"{{{_P}: true,", "[][]", "]", "}", "", " ", "\n", "\x00",
    "[", "{", "{}}", '{"":', f"{{{_P}:/*c*/1}}", f"{{{_P}: true}} \"x\"", "['", "[{", '{"', "{,", "{[",
    "{]", "[}", "{'a'", '["\\{["\\{', "*", f"{{{_P}:1}}#{{}}", "[1", "[ false, nul", "[ true, fals", "\u2060",
    "[\u2060]", "[\u00a0]", "[\f]", f"\ufeff{{{_P}:1}}", "\ufeff", f"{{{_P}:1}}\x00", f"\x00{{{_P}:1}}",
    "[" * 100_000, '[{"":' * 50_000, "{\"a\":" * 100_000, "[" * 100_000 + "]" * 100_000, f"// c\n{{{_P}:1}}",
    f"# c\n{{{_P}:1}}", f"{{{_P}:1}}\n{{{_P}:1}}", f"---\n{_P}: [", f"<?xml version='1.0'?><a>{PLANTED}</a>",
    "\x1e{}",
)  # fmt: skip

_BYTES = (
    b'["\x80"]', b'["\xff"]', b'["\xc3"]', b'["\xc0\xaf"]', b'["\xe0\x80\xaf"]', b'["\xed\xa0\x80"]',
    b'["\xf4\x90\x80\x80"]', b'["\xf8\x88\x80\x80\x80"]', b'["\\u\xe5"]', b'["\\\xe5"]', b"[\xff]", b"\xe5",
    b"[1e1\xe5]", b"[1e\xe5]", b"[0\xe5]", b"[-123\xe5]", b"{\"\xb9\":\"0\",}", b'{"a\xe9":1}', b"\xef\xbb{}",
    b"\xef\xbb\xbf{}", f"[{_P}]".encode("utf-16-le"), f"[{_P}]".encode("utf-16-be"), f"[{_P}]".encode("utf-16"),
    f"[{_P}]".encode("utf-32"), f'["{PLANTED}\u00e9"]'.encode("latin-1"),
)  # fmt: skip

_INTERPRETED = (
    f"{{{_P}:1,{_P}:1}}", f"{{{_P}:1,{_P}:2}}", f'{{"a":{{{_P}:1,{_P}:[]}}}}', '{"a":1,"\\u0061":2}',
    f'["{PLANTED}\\uD800"]', '["\\uDC00"]', '["\\uDC00\\uD800"]', '["\\uD800x"]', '{"\\uD800":1}', "[1e999]",
    "[-1e999]", "[9007199254740992]", "[-9007199254740993]", "[" + "9" * 5000 + "]", "[1e400]", "[" * 33 + "]" * 33,
)  # fmt: skip


def _in_a_string() -> list[bytes]:
    """Control characters must be escaped in a string."""
    return [b'["%s%c"]' % (PLANTED.encode(), code) for code in range(32)]


def malformed() -> dict[str, bytes]:
    """No JSON at all, by kind and number."""
    kinds = {
        "number": [f"[{number}]".encode() for number in _NUMBERS],
        "array": [text.encode() for text in _ARRAYS],
        "literal": [text.encode() for text in _LITERALS],
        "object": [text.encode() for text in _OBJECTS],
        "string": [text.encode() for text in _STRINGS],
        "control": _in_a_string(),
        "structure": [text.encode() for text in _STRUCTURE],
        "bytes": list(_BYTES),
    }
    return {f"{kind}-{number}": data for kind, found in kinds.items() for number, data in enumerate(found)}


def interpreted() -> dict[str, bytes]:
    """JSON by its grammar, but read differently by different parsers."""
    return {f"interpreted-{number}": text.encode() for number, text in enumerate(_INTERPRETED)}


def misplaced() -> dict[str, bytes]:
    """Good JSON that none of our documents looks like."""
    texts = ("{}", "[]", "null", "true", "0", "-0.5", _P, f"[{_P}]", f"{{{_P}:{_P}}}", "[[[]]]", "[{}]", '{"a":{}}')
    return {f"misplaced-{number}": text.encode() for number, text in enumerate(texts)}
