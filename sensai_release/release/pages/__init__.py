"""The pages that people read: one self-contained HTML file each, with no outside request.

Style and plots are inline, everything put into a page is escaped, and a page of synthetic data says so in a band. Pages
show what a report holds and decide nothing: verdicts, masking and wording of findings come with the report. No page has
a script but that of the review, which can be read without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sensai_release.privacy.in_force import grouped
from sensai_release.release.pages import review, risk
from sensai_release.release.pages.plots import bar, histogram, interval, scale, strip, tenths
from sensai_release.release.pages.recordings import orders, tally
from sensai_release.release.visible import visible
from sensai_release.table.causes import cause

if TYPE_CHECKING:
    import jinja2


def render_page(template: str, /, *, synthetic: bool, **context: Any) -> str:
    """One page as HTML text.

    Templates and the `report` that each shows: `validation.html.j2` (`ValidationReport.to_dict()`), `risk.html.j2`
    (`RiskReport.to_dict()`), `diff.html.j2` (`ReleaseDiff.to_dict()`); `datasheet.html.j2` is filled by
    `datasheet.render_html`; `waivers.html.j2` (the `name` of the release and its `waivers`); `policy.html.j2`
    (policy.json); `review.html.j2` (what `pipeline.reviewing` gathers). Each takes `study` too, a mapping with `id` and
    `title`. `synthetic` shows the band.
    Raises `jinja2.UndefinedError` when a template asks for what the context lacks.
    """
    return _environment().get_template(template).render(synthetic=synthetic, **{"study": None} | context)


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sensai_release.release.pages", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalized,
    )
    environment.filters |= {"declared": declared, "number": number, "percent": percent, "words": words}
    environment.filters |= {"cause": cause, "noticeable": noticeable}
    environment.globals |= {"bar": bar, "histogram": histogram, "strip": strip, "tenths": tenths}
    environment.globals |= {"interval": interval, "scale": scale, "risk": risk, "review": review}
    environment.globals |= {"grouped": grouped, "orders": orders, "tally": tally}
    return environment


def _finalized(value: Any) -> Any:
    """Called for everything that is put into a page; escaping comes after."""
    return visible(value) if isinstance(value, str) else value


def number(value: Any) -> str:
    """A count or measure for reading: thousands apart, floats short, masked texts as they are."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return {True: "yes", False: "no", None: "\N{EN DASH}"}[value]
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.4g}".replace(",", "\u202f")
    return f"{int(value):,}".replace(",", "\u202f")


def percent(value: Any) -> str:
    """A share as a percentage; masked texts (`<0.42`) keep their sign."""
    if isinstance(value, str):
        sign, digits = value[:1], value[1:]
        return f"{sign}{100 * float(digits):.0f} %" if sign in "<>" and digits else value
    return f"{100 * value:.1f} %"


def declared(value: Any) -> str:
    """An entry of a data dictionary as text."""
    return ", ".join(map(str, value)) if isinstance(value, list) else number(value)


def words(name: str) -> str:
    """A name from a report as words: `k_min_missing` becomes `k min missing`."""
    return name.replace("_", " ")


def noticeable(entries: list[Mapping[str, Any]], ranges: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The columns that have something to show, each with its `range`: missing cells first, most of them on top.

    `entries` and `ranges` are those of one table. Columns without missing cells follow if they have a range, by name.
    """
    by_column = {entry["column"]: entry for entry in ranges}
    shown = [entry | {"range": by_column.get(entry["column"])} for entry in map(dict, entries)]
    shown = [entry for entry in shown if entry["missing"] not in (0, None) or entry["range"]]
    return sorted(shown, key=lambda entry: (-_share(entry, "missing"), entry["column"]))


def _share(entry: Mapping[str, Any], key: str) -> float:
    count, rows = entry[key], entry["rows"]
    return count / rows if isinstance(count, int) and isinstance(rows, int) and rows else 0.0
