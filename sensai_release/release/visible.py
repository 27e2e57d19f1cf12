"""Text as people may be shown it: what would reorder it, hide in it or steer a terminal is written out.

A name that holds a bidirectional override reads as another one (Unicode Technical Report 36,
https://www.unicode.org/reports/tr36/). Markup is for whoever renders: a page escapes it, a terminal prints it as it is.
"""

from __future__ import annotations

from typing import Final

# Controls but for tab and line ends; marks that reorder; what has no width. Joiners stay: scripts and emoji need them.
_RANGES: Final = (
    (0x00, 0x08), (0x0B, 0x0C), (0x0E, 0x1F), (0x7F, 0x9F), (0x00AD, 0x00AD), (0x061C, 0x061C), (0x180E, 0x180E),
    (0x200B, 0x200B), (0x200E, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0xFEFF, 0xFEFF), (0xFFF9, 0xFFFB),
    (0xD800, 0xDFFF), (0xE0000, 0xE007F),
)  # fmt: skip

WRITTEN_OUT: Final[dict[int, str]] = {
    code: ascii(chr(code))[1:-1] for first, last in _RANGES for code in range(first, last + 1)
}
"""For `str.translate`."""


def visible(text: str) -> str:
    """The text with such characters written out by their codes. Markup stays markup: nothing here needs escaping."""
    return text if text.isascii() and text.isprintable() else text.translate(WRITTEN_OUT)
