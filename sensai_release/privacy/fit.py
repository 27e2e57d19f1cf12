"""Whether an action suits its column: type, class, bounds, keys. Told from the declarations, before any row is read.

What each action does is `privacy.actions`'; which one a column gets, and hierarchies, are `privacy.policy`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.context import condition
from sensai_release.table.schema import ActionSpec, ColumnSpec, ReleaseSpec, TableSchema

ORDERED = ("ordinal", "relative_day")
_NUMERIC = ("integer", "number", "boolean")
_NUMBERS = ("integer", "number")
_TIMES = ("date", "datetime")
_DTYPES = {
    **dict.fromkeys(("round", "bin", "window"), _NUMERIC),
    **dict.fromkeys(("noise", "top_bottom_code", "difference_from_reference"), _NUMBERS),
    **dict.fromkeys(ORDERED, _TIMES),
}


def check_fit(schema: TableSchema, release: ReleaseSpec, spec: ColumnSpec, action: ActionSpec) -> None:
    """Raises `ConfigurationError`, naming file, entry and cure, for an action that does not suit its column."""
    do, place = action.do, f"schemas/{schema.name}.yaml: {spec.label}"
    _check_rows(schema, release, spec, do, place)
    if do == "pseudonymise" and spec.identifier is None:
        raise ConfigurationError(place, "has no 'identifier' entry to make pseudonyms by", "Add kind, prefix, pattern.")
    if do in ("keep", "suppress_local") and spec.dtype in _TIMES:
        raise ConfigurationError(place, "is an absolute time and must not be kept", "Use ordinal and relative_day.")
    accepted = _DTYPES.get(do)
    if accepted is not None and spec.dtype not in accepted:
        kind = "date or time" if accepted == _TIMES else "number"
        raise ConfigurationError(place, f"is no {kind}, so {do} cannot be done", "Choose another action.")
    if do in ORDERED and schema.match(action.parameters["within"]) is None:
        raise ConfigurationError(place, "is ordered within a column that is not there", "Mend 'within'.")
    if do == "bin":
        _check_edges(action.parameters["edges"], place)
    elif do == "noise":
        _check_noise(schema, place)
    elif do == "top_bottom_code":
        _check_bounds(spec, action.parameters.get("lower"), action.parameters.get("upper"), place)
    elif do == "suppress_local":
        _check_suppression(schema, spec, action, place)
    elif do == "difference_from_reference":
        _check_reference(schema, action, place)


def _check_rows(schema: TableSchema, release: ReleaseSpec, spec: ColumnSpec, do: str, place: str) -> None:
    """Whether the rows of the released table are what the action makes: windows, or what the source's rows are."""
    if release.window is not None and do not in ("window", "pseudonymise"):
        raise ConfigurationError(place, f"has the action {do} in a table of windows", "Use window or drop.")
    if release.window is None and do == "window":
        raise ConfigurationError(place, f"needs windows, but '{release.table}' has none", "Declare 'window' there.")
    if spec.idclass == "A" and release.window is None and _per_recording(schema):
        raise ConfigurationError(
            place, "is of class A and would leave for every row of a recording", "Use windows, or drop it."
        )


def _check_edges(edges: Sequence[float], place: str) -> None:
    if list(edges) != sorted(set(edges)):
        raise ConfigurationError(place, "has edges that do not rise", "Sort the cut points.")


def _check_noise(schema: TableSchema, place: str) -> None:
    """Noise is drawn for a row by its primary key: a pseudonym, and at most one whole number."""
    key = [schema.match(name) for name in schema.primary_key]
    if not key or len(key) > 2 or key[0] is None or key[0].identifier is None:
        raise ConfigurationError(
            place, "has noise, but its table no primary key that begins with an identifier", "Declare 'primary_key'."
        )
    if len(key) == 2 and (key[1] is None or key[1].dtype != "integer"):
        raise ConfigurationError(
            place, "has noise, but the second part of its table's key is no whole number", "Mend 'primary_key'."
        )


def _check_bounds(spec: ColumnSpec, lower: float | None, upper: float | None, place: str) -> None:
    """Bounds of a coding or a suppression: rising, within the declared range, whole for whole numbers."""
    ladder = [bound for bound in (lower, upper) if bound is not None]
    if len(ladder) == 2 and ladder[0] >= ladder[1]:
        raise ConfigurationError(place, "has a lower bound that is not below the upper one", "Mend the bounds.")
    low, high = spec.minimum, spec.maximum
    if any((low is not None and bound < low) or (high is not None and bound > high) for bound in ladder):
        raise ConfigurationError(place, "has a bound outside the declared range", "Mend the bound or the range.")
    if spec.dtype == "integer" and any(not float(bound).is_integer() for bound in ladder):
        raise ConfigurationError(place, "has a bound that is no whole number, as its cells are", "Round the bound.")


def _check_suppression(schema: TableSchema, spec: ColumnSpec, action: ActionSpec, place: str) -> None:
    when = action.parameters["when"]
    if ("below" in when or "above" in when) and spec.dtype not in _NUMBERS:
        raise ConfigurationError(place, "is no number, so 'below' and 'above' have no meaning", "Use 'values'.")
    _check_bounds(spec, when.get("below"), when.get("above"), place)
    kinds = {"integer": (int, float), "number": (int, float), "boolean": (bool,)}.get(spec.dtype, (str,))
    values = when.get("values", ())
    if any(not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds) for value in values):
        raise ConfigurationError(place, f"suppresses values that are no {spec.dtype}", "Mend 'values'.")
    unknown = len(set(values) - set(spec.categories)) if spec.dtype == "category" else 0
    if unknown:
        raise ConfigurationError(
            place, f"suppresses {unknown} values that are none of its categories", "Mend 'values'."
        )
    if ("fewer_than" in when) != ("within" in action.parameters):
        raise ConfigurationError(
            place, "needs 'within' with 'fewer_than', and only then", "Name the key of persons, whom it counts."
        )
    if "fewer_than" in when:
        if spec.dtype == "number":
            raise ConfigurationError(place, "hardly repeats a number, so all would be rare", "Use bin or round.")
        _check_persons(schema, action.parameters["within"], place)


def _check_reference(schema: TableSchema, action: ActionSpec, place: str) -> None:
    _check_persons(schema, action.parameters["within"], place)
    if len(schema.primary_key) != 1:
        raise ConfigurationError(
            place, "has references, but its table not one row a session", "Choose another action, or declare its key."
        )
    owner, column, _ = condition(action.parameters["reference"])
    if owner == schema.name and (column is None or schema.match(column) is None):
        raise ConfigurationError(place, "has a reference by a column that is not there", "Mend 'reference'.")


def _check_persons(schema: TableSchema, within: str, place: str) -> None:
    """Persons are counted or compared over the whole table, which is never there at once when rows are recordings'."""
    if _per_recording(schema):
        raise ConfigurationError(
            place, "compares persons, but the rows of a recording are one person's", "Use it in a table of sessions."
        )
    if schema.match(within) is None and not schema.foreign_keys:
        raise ConfigurationError(place, f"is taken within '{within}', which is not there", "Name the key of persons.")


def _per_recording(schema: TableSchema) -> bool:
    return schema.source is not None and schema.source.per_recording
