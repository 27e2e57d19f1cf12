"""Turns columns of text into typed Arrow columns, and says which cells cannot be read so.

Vectorised throughout. Knows the forms of numbers, dates, times and truth values; knows nothing of files or schemas
beyond a declared dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.table.schema import Dtype

_ARROW_TYPES: dict[Dtype, pa.DataType] = {
    "string": pa.string(),
    "category": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us"),
}

MISSING_NUMBERS = tuple(
    pad + word for word in ("", "nan", "NaN", "NA", "-nan(ind)", "nan(ind)") for pad in ("", " ", "  ")
)
"""What stands for a missing number, as the tools write it: `-nan(ind)` is how the Microsoft C library prints NaN."""

# The same forms as Arrow's own parser takes, so that the fast and the careful way agree.
_NAN = r"(?i)^(?:NA|[+-]?nan(?:\([a-z0-9_]*\))?)$"
_NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
_NUMBER_COMMA = r"^[+-]?(?:[0-9]+,?[0-9]*|,[0-9]+)(?:[eE][+-]?[0-9]+)?$"
_INFINITE = r"(?i)^[+-]?inf(?:inity)?$"
_INTEGER = r"^(?P<sign>[+-]?)0*(?P<digits>[0-9]+)$"
_WHOLE = r"^(?P<sign>[+-]?)0*(?P<digits>[0-9]+)(?:\.0*)?$"
_DATE = r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
_DAY_FIRST = r"^(?P<day>[0-9]{2})-(?P<month>[0-9]{2})-(?P<year>[0-9]{4})"
_TWO_IN_ONE = r"^[^;]*;[0-9]{2}-[0-9]{2}-[0-9]{4}$"
_TIME = (
    r"(?:[T ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<part>[0-9]{1,6})[0-9]*)?)?"
    r"(?P<offset>Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_DURATION = (
    r"^(?P<days>[0-9]+) days?(?: (?P<hours>[0-9]{2}):(?P<minutes>[0-9]{2}):(?P<seconds>[0-9]{2}(?:\.[0-9]+)?))?$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """One column: its values (missing where a cell could not be read) and, by finding code, masks of those cells."""

    values: pa.ChunkedArray
    wrong: tuple[tuple[str, pa.ChunkedArray], ...] = ()


def arrow_type(dtype: Dtype) -> pa.DataType:
    """The Arrow type of a declared dtype. Times are without zone, in microseconds."""
    return _ARROW_TYPES[dtype]


def count_and_first(mask: pa.ChunkedArray) -> tuple[int, int]:
    """How many cells of a Boolean mask are true, and the first such row (1-based; 0 when there is none)."""
    count = pc.sum(mask, min_count=0).as_py()
    return count, pc.index(mask, True).as_py() + 1 if count else 0


def trim(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text without padding; what is empty then is missing."""
    trimmed = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def convert(
    texts: pa.ChunkedArray, dtype: Dtype, *, decimal: str = ".", duration: bool = False, decimals: bool = False
) -> Converted:
    """A column of trimmed text as the declared dtype.

    `duration` reads `0 days 00:00:03.37` as seconds; `decimals` reads `1.00` as the integer 1.
    """
    if dtype in ("string", "category"):
        return Converted(values=texts)
    if dtype == "number":
        return _joined(texts, _durations(texts) if duration else _numbers(texts, decimal))
    if dtype == "integer":
        return _joined(texts, _integers(texts, _WHOLE if decimals else _INTEGER))
    by_dtype: dict[str, Callable[[pa.ChunkedArray], Converted]] = {
        "boolean": _booleans,
        "date": _dates,
        "datetime": _datetimes,
    }
    return by_dtype[dtype](texts)


def finite(column: pa.ChunkedArray) -> Converted:
    """A column of floats in which NaN is missing and the infinite cells are wrong."""
    # One sum answers for both: it is finite only when every cell is.
    total = pc.sum(column).as_py()
    if total is None or -1.7e308 < total < 1.7e308:
        return Converted(values=column)
    infinite = pc.fill_null(pc.is_inf(column), False)
    values = pc.if_else(pc.fill_null(pc.is_finite(column), False), column, pa.scalar(None, pa.float64()))
    return Converted(values=values, wrong=(("value.not_finite", infinite),))


def whole(column: pa.ChunkedArray) -> Converted:
    """A column of floats as integers; the cells with a fraction, or too large to be exact, are wrong."""
    try:
        return Converted(values=pc.cast(column, pa.int64()))
    except pa.ArrowInvalid:
        numbers = finite(column)
    exact = pc.and_(pc.equal(pc.floor(numbers.values), numbers.values), pc.less(pc.abs(numbers.values), 2.0**53))
    good = pc.fill_null(exact, False)
    values = pc.cast(pc.if_else(good, numbers.values, pa.scalar(None, pa.float64())), pa.int64())
    return Converted(values=values, wrong=(*_wrong(numbers.values, good), *numbers.wrong))


def decimal_marks(texts: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Masks of the cells that are numbers with a decimal point, and of those with a decimal comma."""
    return (
        _and(_matches(texts, _NUMBER), pc.fill_null(pc.match_substring(texts, "."), False)),
        _and(_matches(texts, _NUMBER_COMMA), pc.fill_null(pc.match_substring(texts, ","), False)),
    )


def _matches(texts: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    return pc.fill_null(pc.match_substring_regex(texts, pattern), False)


def _and(*masks: pa.ChunkedArray) -> pa.ChunkedArray:
    result = masks[0]
    for mask in masks[1:]:
        result = pc.and_(result, mask)
    return result


def _only(texts: pa.ChunkedArray, mask: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(mask, texts, pa.scalar(None, texts.type))


def _wrong(texts: pa.ChunkedArray, good: pa.ChunkedArray) -> tuple[tuple[str, pa.ChunkedArray], ...]:
    return (("value.type", pc.and_not(pc.is_valid(texts), good)),)


def _joined(texts: pa.ChunkedArray, converted: Converted) -> Converted:
    """Tells cells such as `55;16-03-2021` (Castor's number and date) from other wrong ones."""
    both = _matches(texts, _TWO_IN_ONE)
    if not pc.any(both).as_py():
        return converted
    wrong = tuple((code, pc.and_not(mask, both)) for code, mask in converted.wrong)
    return Converted(values=converted.values, wrong=(*wrong, ("value.two_in_one", both)))


def key_forms(texts: pa.ChunkedArray) -> tuple[int, int]:
    """How many keys are written in a second way (`1` beside `1.0` beside `01`), and the first row of such a one."""
    unique = pc.unique(texts).drop_null()
    plain = pc.struct_field(pc.extract_regex(unique, r"^\+?0*(?P<digits>[0-9]+?)(?:[.,]0*)?$"), "digits")
    if len(pc.unique(plain)) == len(plain):
        return 0, 0
    encoded = plain.dictionary_encode()
    forms = pc.value_counts(encoded.drop_null())
    several = pc.filter(forms.field("values"), pc.greater(forms.field("counts"), 1)).cast(pa.string())
    written = pc.filter(unique, pc.fill_null(pc.is_in(plain, value_set=several, skip_nulls=True), False))
    if not len(several):
        return 0, 0
    mask = pc.is_in(texts, value_set=written, skip_nulls=True)
    return len(written) - len(several), count_and_first(mask)[1]


def _numbers(texts: pa.ChunkedArray, decimal: str) -> Converted:
    good = _matches(texts, _NUMBER if decimal == "." else _NUMBER_COMMA)
    readable = pc.or_(good, _matches(texts, _INFINITE))
    plain = texts if decimal == "." else pc.replace_substring(texts, ",", ".")
    numbers = finite(pc.cast(_only(plain, readable), pa.float64()))
    present = _only(texts, pc.invert(_matches(texts, _NAN)))
    return Converted(values=numbers.values, wrong=(*_wrong(present, readable), *numbers.wrong))


def _integers(texts: pa.ChunkedArray, pattern: str) -> Converted:
    texts = _only(texts, pc.invert(_matches(texts, _NAN)))
    parts = pc.extract_regex(texts, pattern)
    sign, digits = pc.struct_field(parts, "sign"), pc.struct_field(parts, "digits")
    length = pc.utf8_length(digits)
    limit = pc.if_else(pc.equal(sign, "-"), "9223372036854775808", "9223372036854775807")
    fits = pc.or_(pc.less(length, 19), pc.and_(pc.equal(length, 19), pc.less_equal(digits, limit)))
    good = pc.fill_null(fits, False)
    plain = pc.binary_join_element_wise(pc.if_else(pc.equal(sign, "-"), "-", ""), digits, "")
    return Converted(values=pc.cast(_only(plain, good), pa.int64()), wrong=_wrong(texts, good))


def _booleans(texts: pa.ChunkedArray) -> Converted:
    lower = pc.utf8_lower(texts)
    yes = pc.is_in(lower, value_set=pa.array(["1", "true"]))
    no = pc.is_in(lower, value_set=pa.array(["0", "false"]))
    good = pc.or_(yes, no)
    return Converted(values=pc.if_else(good, yes, pa.scalar(None, pa.bool_())), wrong=_wrong(texts, good))


def _field(parts: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    text = pc.struct_field(parts, name)
    return pc.fill_null(pc.cast(_only(text, pc.fill_null(pc.not_equal(text, ""), False)), pa.int64()), 0)


def _is_day(parts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whether year, month and day make a day of the Gregorian calendar, from the year 1 on."""
    year, month, day = (_field(parts, name) for name in ("year", "month", "day"))

    def divisible(by: int) -> pa.ChunkedArray:
        return pc.equal(pc.multiply(pc.divide(year, by), by), year)

    leap = _and(divisible(4), pc.or_(pc.invert(divisible(100)), divisible(400)))
    short = pc.is_in(month, value_set=pa.array([4, 6, 9, 11], pa.int64()))
    last = pc.if_else(pc.equal(month, 2), pc.if_else(leap, 29, 28), pc.if_else(short, 30, 31))
    return _and(
        pc.greater_equal(year, 1),
        pc.greater_equal(month, 1),
        pc.less_equal(month, 12),
        pc.greater_equal(day, 1),
        pc.less_equal(day, last),
    )


def _day_first(texts: pa.ChunkedArray) -> tuple[pa.ChunkedArray, tuple[tuple[str, pa.ChunkedArray], ...]]:
    """Dates written dd-mm-yyyy in the ISO form, or unchanged with masks of the cells that leave their form in doubt.

    A column has one form. That the day comes first is proved by one date whose second number is not its month.
    """
    dutch = _matches(texts, _DAY_FIRST)
    if not pc.any(dutch).as_py():
        return texts, ()
    iso = _matches(texts, f"^{_DATE}")
    if pc.any(iso).as_py():
        fewer = dutch if pc.sum(dutch).as_py() <= pc.sum(iso).as_py() else iso
        return _only(texts, pc.invert(pc.or_(dutch, iso))), (("value.mixed_date", fewer),)
    parts = pc.extract_regex(texts, _DAY_FIRST)
    first, second = _field(parts, "day"), _field(parts, "month")
    doubtful = _and(dutch, pc.less_equal(first, 12), pc.less_equal(second, 12), pc.not_equal(first, second))
    proved = pc.any(_and(dutch, pc.greater(first, 12))).as_py()
    if pc.any(doubtful).as_py() and not proved:
        return _only(texts, pc.invert(dutch)), (("value.ambiguous_date", doubtful),)
    return pc.replace_substring_regex(texts, r"^([0-9]{2})-([0-9]{2})-([0-9]{4})", r"\3-\2-\1"), ()


def _dates(texts: pa.ChunkedArray) -> Converted:
    texts, doubts = _day_first(texts)
    good = _is_day(pc.extract_regex(texts, f"^{_DATE}$"))
    return Converted(values=pc.cast(_only(texts, good), pa.date32()), wrong=(*_wrong(texts, good), *doubts))


def _datetimes(texts: pa.ChunkedArray) -> Converted:
    """ISO 8601 calendar dates with or without a time of day; the wall-clock time is kept, an offset is left out.

    Different offsets in one column would make times that cannot be compared: then every cell is wrong.
    """
    texts, doubts = _day_first(texts)
    parts = pc.extract_regex(texts, f"^{_DATE}{_TIME}$")
    hour, minute, second = (_field(parts, name) for name in ("hour", "minute", "second"))
    good = _and(_is_day(parts), pc.less(hour, 24), pc.less(minute, 60), pc.less(second, 60))
    days = pc.cast(pc.cast(_only(pc.utf8_slice_codeunits(texts, 0, 10), good), pa.date32()), pa.int32())
    fraction = pc.struct_field(parts, "part")
    microseconds = pc.cast(pc.utf8_rpad(pc.fill_null(fraction, ""), 6, "0"), pa.int64())
    seconds = pc.cast(days, pa.int64())
    for value, factor in ((hour, 24), (minute, 60), (second, 60)):
        seconds = pc.add(pc.multiply(seconds, factor), value)
    values = pc.cast(pc.add(pc.multiply(seconds, 1_000_000), microseconds), pa.timestamp("us"))
    wrong = (*_wrong(texts, good), *doubts)
    if len(pc.unique(_only(pc.struct_field(parts, "offset"), good)).drop_null()) > 1:
        wrong = (*wrong, ("value.mixed_offset", good))
    return Converted(values=values, wrong=wrong)


def _durations(texts: pa.ChunkedArray) -> Converted:
    """Seconds from pandas' text form of a time difference; plain numbers are seconds already."""
    parts = pc.extract_regex(texts, _DURATION)
    timed = pc.is_valid(parts)
    seconds = pc.cast(_field(parts, "days"), pa.float64())
    for name, factor in (("hours", 24), ("minutes", 60)):
        seconds = pc.add(pc.multiply(seconds, factor), pc.cast(_field(parts, name), pa.float64()))
    last = pc.struct_field(parts, "seconds")
    last = pc.cast(pc.if_else(pc.equal(last, ""), "0", last), pa.float64())
    seconds = pc.add(pc.multiply(seconds, 60), last)
    plain = _numbers(_only(texts, pc.invert(timed)), ".")
    return Converted(values=pc.if_else(timed, seconds, plain.values), wrong=plain.wrong)
