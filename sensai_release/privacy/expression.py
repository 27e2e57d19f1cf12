"""Arithmetic over columns, as a schema's `derive` may write it: `weight_kg / (height_cm / 100) ** 2`.

Column names, numbers, `+ - * /`, `**` with a whole exponent of at most 4, and brackets; nothing else parses. Text is
parsed into Python's syntax tree and walked over a whitelist: nothing is ever evaluated as Python.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.errors import ConfigurationError

_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: pc.add,
    ast.Sub: pc.subtract,
    ast.Mult: pc.multiply,
    ast.Div: pc.divide,
}
_MAXIMUM_LENGTH = 500
_MAXIMUM_DEPTH = 32
_MAXIMUM_EXPONENT = 4


def expression_columns(expression: str, place: str = "derive") -> frozenset[str]:
    """The columns that an expression reads. Raises `ConfigurationError` for anything but the arithmetic above."""
    return frozenset(node.id for node in ast.walk(_parse(expression, place)) if isinstance(node, ast.Name))


def derive(table: pa.Table, expression: str, place: str = "derive") -> pa.Array:
    """The value of the expression in every row, as float64. `table` must hold the columns that it names.

    A row with a missing operand is missing; so is one whose result is not finite (a division by zero).
    """
    tree = _parse(expression, place)
    columns = {name: pc.cast(table[name], pa.float64()).combine_chunks() for name in expression_columns(expression)}
    value = _evaluate(tree, columns)
    if isinstance(value, pa.Scalar):
        value = pa.repeat(value, table.num_rows)
    return pc.if_else(pc.is_finite(value), value, pa.scalar(None, pa.float64()))


@lru_cache(maxsize=256)
def _parse(expression: str, place: str) -> ast.expr:
    cure = "Use column names, numbers, + - * / ** and brackets."
    if len(expression) > _MAXIMUM_LENGTH:
        raise ConfigurationError(place, "the expression is too long", cure)
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ConfigurationError(place, "the expression is not arithmetic", cure) from None
    fault = _fault(tree, 0)
    if fault is not None:
        raise ConfigurationError(place, f"the expression {fault}", cure)
    return tree


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(float(value)).item()


def _fault(node: ast.expr, depth: int) -> str | None:
    if depth > _MAXIMUM_DEPTH:
        return "is nested too deeply"
    match node:
        case ast.Name():
            return None
        case ast.Constant(value=value) if _is_number(value):
            return None
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            return _fault(operand, depth + 1)
        case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=exponent)):
            if type(exponent) is not int or not 0 <= exponent <= _MAXIMUM_EXPONENT:
                return f"has an exponent other than 0 to {_MAXIMUM_EXPONENT}"
            return _fault(left, depth + 1)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
            return _fault(left, depth + 1) or _fault(right, depth + 1)
    return "holds something that is not arithmetic"


def _evaluate(node: ast.expr, columns: dict[str, pa.Array]) -> Any:
    match node:
        case ast.Name(id=name):
            return columns[name]
        case ast.Constant(value=value):
            return pa.scalar(float(cast("float", value)), pa.float64())
        case ast.UnaryOp(op=operator, operand=operand):
            value = _evaluate(operand, columns)
            return pc.negate(value) if isinstance(operator, ast.USub) else value
        case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=exponent)):
            base = _evaluate(left, columns)
            result = pc.if_else(pc.is_valid(base), pa.scalar(1.0), pa.scalar(None, pa.float64()))
            for _ in range(cast("int", exponent)):
                result = pc.multiply(result, base)
            return result
        case ast.BinOp(left=left, op=operator, right=right):
            return _OPERATORS[type(operator)](_evaluate(left, columns), _evaluate(right, columns))
    raise AssertionError("unreachable: _fault admits nothing else")
