"""Plots as inline SVG, drawn in the colours of the page (light, dark and print) and readable by a screen reader.

A masked count is drawn as a hatched stub: its size says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

_WIDTH, _HEIGHT, _TOP, _BOTTOM = 360, 190, 22, 24
_STUB = 16
_LOW = _TOP + _STUB + _BOTTOM + 6


def bar(share: float | None) -> Markup:
    """A horizontal bar from 0 to 1 as wide as its table cell; `None` is masked. The number stands beside it."""
    if share is None:
        inside = Markup('<rect class="masked" width="8" height="8"/>')
    else:
        inside = Markup('<rect class="mark" width="{}" height="8"/>').format(f"{100 * min(max(share, 0.0), 1.0):.2f}")
    return Markup(
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="track" width="100" height="8"/>{}</svg>'
    ).format(inside)


def histogram(cells: Sequence[tuple[str, int | str]], *, title: str, axis: str) -> Markup:
    """Columns for `(label, count)`; a count that is a text is masked. `title` is read aloud, `axis` stands below."""
    numbers = [count for _, count in cells if not isinstance(count, str)]
    most = max(numbers, default=0) or 1
    # Where nothing but masked counts and zeros is left, there is nothing to compare, and no need for height.
    tall = _HEIGHT if any(numbers) else _LOW
    floor = tall - _BOTTOM
    step = _WIDTH / max(len(cells), 1)
    pieces = []
    for place, (label, count) in enumerate(cells):
        height = _STUB if isinstance(count, str) else (floor - _TOP) * count / most
        pieces.append(
            Markup(
                '<rect class="{}" x="{}" y="{}" width="{}" height="{}"/><text x="{}" y="{}">{}</text>'
                '<text class="axis" x="{}" y="{}">{}</text>'
            ).format(
                "masked" if isinstance(count, str) else "mark",
                f"{place * step + step * 0.14:.1f}",
                f"{floor - height:.1f}",
                f"{step * 0.72:.1f}",
                f"{height:.1f}",
                f"{(place + 0.5) * step:.1f}",
                f"{floor - height - 6:.1f}",
                count,
                f"{(place + 0.5) * step:.1f}",
                floor + 17,
                label,
            )
        )
    spoken = "; ".join(f"{label}: {count}" for label, count in cells)
    return Markup(
        '<figure><svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}'
        '<line class="base" x1="0" x2="{}" y1="{}" y2="{}"/></svg><figcaption>{}</figcaption></figure>'
    ).format(_WIDTH, tall, f"{title}. {spoken}", Markup("").join(pieces), _WIDTH, floor, floor, axis)


def tenths(shares: Sequence[int | str], *, title: str) -> Markup:
    """Ten small columns for the tenths of a range; a text stands for a masked share and is drawn as a stub.

    Where nothing but masked shares and empty tenths is left there is nothing to compare: a word stands instead.
    """
    numbers = [share for share in shares if not isinstance(share, str)]
    most = max(numbers, default=0)
    if not most:
        return Markup('<span class="soft">too few persons to show</span>')
    width, height = 100 / len(shares), 24
    pieces = []
    for place, share in enumerate(shares):
        tall = 5.0 if isinstance(share, str) else (height - 1) * share / most
        # A share above zero stays visible beside one that is a hundred times as large.
        tall = max(tall, 1.0) if share else 0.0
        pieces.append(
            Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
                "masked" if isinstance(share, str) else "mark",
                f"{place * width + 0.8:.1f}",
                f"{height - tall:.1f}",
                f"{width - 1.6:.1f}",
                f"{tall:.1f}",
            )
        )
    spoken = ", ".join(share if isinstance(share, str) else f"{share} %" for share in shares)
    return Markup(
        '<svg class="tenths" viewBox="0 0 100 {}" preserveAspectRatio="none" role="img" aria-label="{}">{}'
        '<line class="base" x1="0" x2="100" y1="{}" y2="{}"/></svg>'
    ).format(height, f"{title}: {spoken}", Markup("").join(pieces), height, height)


_STRIP = 180


def strip(values: Sequence[float | None], *, title: str, axis: str, most: float | None = None) -> Markup:
    """One thin column per value, in order; many values share a column, which shows the largest of them.

    `most` is the value of a full column (default: the largest value). `None` leaves a gap. `title` is read aloud,
    `axis` stands below.
    """
    group = -(-len(values) // _STRIP) or 1
    groups = [values[start : start + group] for start in range(0, len(values), group)]
    largest = [max((value for value in part if value is not None), default=None) for part in groups]
    full = most or max((value for value in largest if value is not None), default=0) or 1
    height, width = 44, _WIDTH / max(len(groups), 1)
    pieces = [
        Markup('<rect class="mark" x="{}" y="{}" width="{}" height="{}"/>').format(
            f"{place * width:.2f}",
            f"{height - tall:.2f}",
            f"{max(width * 0.8, 0.8):.2f}",
            f"{tall:.2f}",
        )
        for place, value in enumerate(largest)
        if value
        for tall in (max(height * min(value / full, 1.0), 1.0),)
    ]
    return Markup(
        '<figure class="strip"><svg class="plot" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" '
        'aria-label="{}">{}<line class="base" x1="0" x2="{}" y1="{}" y2="{}"/></svg>'
        "<figcaption>{}</figcaption></figure>"
    ).format(_WIDTH, height, title, Markup("").join(pieces), _WIDTH, height, height, axis)


def interval(
    value: float | None,
    low: float | None = None,
    high: float | None = None,
    *,
    title: str,
    span: tuple[float, float] = (0.0, 1.0),
    band: tuple[float, float] | None = None,
    marks: Sequence[tuple[str, float]] = (),
    kind: str = "mark",
) -> Markup:
    """A dot with its interval, on a line as wide as its table cell; the numbers stand beside it.

    `span` is what the line covers: what lies outside is drawn at its end. `band` is a stretch behind the dot, `marks`
    are upright lines, each a class (`limit`, `chance`, `base`) and a place. `kind` is the colour: `mark`, `good`, `bad`
    or `note`. `title` is read aloud. Places are shares of the width, so that nothing is stretched.
    """

    def at(place: float) -> str:
        share = (place - span[0]) / (span[1] - span[0])
        return f"{100 * min(max(share, 0.0), 1.0):.2f}%"

    pieces = [Markup('<line class="axis" x1="0%" x2="100%" y1="50%" y2="50%"/>')]
    if band is not None:
        left, right = (float(at(place)[:-1]) for place in band)
        pieces.append(
            Markup('<rect class="band" x="{}%" y="8%" width="{}%" height="84%"/>').format(
                f"{left:.2f}", f"{right - left:.2f}"
            )
        )
    pieces += [
        Markup('<line class="{}" x1="{}" x2="{}" y1="0%" y2="100%"/>').format(name, at(place), at(place))
        for name, place in marks
    ]
    if low is not None and high is not None:
        pieces.append(Markup('<line class="whisker" x1="{}" x2="{}" y1="50%" y2="50%"/>').format(at(low), at(high)))
    if value is not None:
        pieces.append(Markup('<circle class="dot" cx="{}" cy="50%" r="4.5"/>').format(at(value)))
    return Markup('<svg class="interval is-{}" role="img" aria-label="{}">{}</svg>').format(
        kind, title, Markup("").join(pieces)
    )


def scale(span: tuple[float, float] = (0.0, 1.0), *, percent: bool = False) -> Markup:
    """The numbers above a column of `interval` plots: both ends, and what lies half-way."""
    places = [("start", "0%", span[0]), ("middle", "50%", sum(span) / 2), ("end", "100%", span[1])]
    return Markup('<svg class="interval scale" aria-hidden="true">{}</svg>').format(
        Markup("").join(
            Markup('<text class="axis {}" x="{}" y="11">{}</text>').format(
                name, place, f"{100 * value:.3g} %" if percent else f"{value:.3g}"
            )
            for name, place, value in places
        )
    )
