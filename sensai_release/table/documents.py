"""Our own YAML documents: parsed strictly, checked against a JSON Schema, and explained where they break it.

An explanation names the path inside the document and the accepted words; it never guesses what was meant. What a
document means is for the module that asked for it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from sensai_release.errors import ConfigurationError

MAXIMUM_DEPTH = 32
MAXIMUM_CHARACTERS = 16 << 20


def _strict_loader() -> type[yaml.SafeLoader]:
    """The C loader of PyYAML where there is one, made to refuse duplicate keys (plain YAML keeps the last)."""
    base: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        pass

    def mapping(loader: Any, node: yaml.MappingNode) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is not a text", key_node.start_mark)
            key = loader.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, "a key stands twice", key_node.start_mark)
            seen.add(key)
        loader.flatten_mapping(node)
        return dict(yaml.constructor.SafeConstructor.construct_mapping(loader, node, deep=True))

    def number(loader: Any, node: yaml.ScalarNode) -> float:
        value = float(yaml.constructor.SafeConstructor.construct_yaml_float(loader, node))
        if not math.isfinite(value):
            raise yaml.constructor.ConstructorError(None, None, "a number is not finite", node.start_mark)
        return value

    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    Loader.add_constructor("tag:yaml.org,2002:float", number)
    # YAML 1.1 reads yes, no, on and off as booleans and 2025-01-01 as a date; ours are texts, as in YAML 1.2.
    Loader.yaml_implicit_resolvers = {
        first: [
            (tag, regexp)
            for tag, regexp in resolvers
            if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")
        ]
        for first, resolvers in base.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
    return Loader


@lru_cache(maxsize=1)
def _loader() -> type[yaml.SafeLoader]:
    return _strict_loader()


def load_yaml(path: Path, place: str) -> Any:
    """One YAML document, strictly: UTF-8, no duplicate keys, `yes`/`no` are texts. `place` names it in errors.

    Refuses (`ConfigurationError`, which never holds what the file says) also infinities, aliases, and a file that is
    larger than `MAXIMUM_CHARACTERS` or nested deeper than `MAXIMUM_DEPTH`.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAXIMUM_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = "is not there" if isinstance(error, FileNotFoundError) else "cannot be read as UTF-8 text"
        raise ConfigurationError(place, reason, "Restore the file, or make a workspace with 'init'.") from None
    if len(text) > MAXIMUM_CHARACTERS:
        raise ConfigurationError(place, "is larger than any file of this kind", "Restore the file.")
    with _refusing(place):
        _check_nesting(text)
    return parse_yaml(text, place)


def parse_yaml(text: str, place: str) -> Any:
    """`load_yaml` for a text in memory."""
    with _refusing(place):
        return yaml.load(text, Loader=_loader())  # noqa: S506 - a subclass of the safe loader


@contextmanager
def _refusing(place: str) -> Iterator[None]:
    try:
        yield
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        # PyYAML quotes words of the file at the end of some of its messages.
        problem, _, _ = (getattr(error, "problem", None) or "not YAML").partition(" '")
        raise ConfigurationError(place, f"not valid YAML{where} ({problem})", "Mend that line.") from None
    except (ValueError, TypeError, LookupError, AttributeError):
        # PyYAML's constructors let through what int(), float() and re say of a text under an explicit tag.
        raise ConfigurationError(place, "has a value that is not of the kind it says", "Mend that value.") from None


def _check_nesting(text: str) -> None:
    """The depth of a document, from its events: building it would overflow the C stack first, and end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_loader()):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAXIMUM_DEPTH:
                raise _problem("it is nested too deep", event)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            # A few lines of aliases can stand for a document that fills the memory.
            raise _problem("it has an alias", event)


def _problem(text: str, event: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=text, problem_mark=event.start_mark)


def check_document(document: Any, json_schema: Mapping[str, Any], place: str) -> None:
    """Checks a parsed document of ours; the error names the path inside it and the accepted words."""
    import jsonschema

    validator = jsonschema.Draft202012Validator(json_schema)
    # Not `best_match`: of several alternatives it picks one branch, whether or not it is the one that was meant.
    error = max(validator.iter_errors(document), key=jsonschema.exceptions.relevance, default=None)
    if error is None:
        return
    narrowed, text = _narrow(error)
    where = ".".join(str(part) for part in narrowed.absolute_path) or "the top level"
    raise ConfigurationError(f"{place}: {where}", text, "Mend it; 'schema check' tells when it is right.")


def _narrow(error: Any) -> tuple[Any, str]:
    """The error below `error` that tells most, with its text: follows the one alternative that can have been meant."""
    while error.validator in ("oneOf", "anyOf") and error.context:
        branches = _branches(error)
        meant = [branch for branch in branches if not any(_misses_kind(each) for each in branch)]
        if len(meant) != 1:
            return error, _none_fits(error)
        error = min(meant[0], key=_telling)
    if error.validator == "oneOf":
        return error, _too_many_fit(error)
    return error, _explain(error)


def _branches(error: Any) -> list[list[Any]]:
    """The errors below a `oneOf`, one list for each alternative, in the order of the alternatives."""
    found: dict[int, list[Any]] = {}
    for each in error.context:
        found.setdefault(each.relative_schema_path[0], []).append(each)
    return [found[number] for number in sorted(found)]


def _misses_kind(error: Any) -> bool:
    """Whether an error says that its alternative is of another kind altogether: a list where a word stands, another
    action, another rule.
    """
    depth = len(error.relative_path)
    if error.validator in ("oneOf", "anyOf") and depth == 0:
        if isinstance(error.instance, Mapping) and any(name in error.instance for name in _told_apart_by(error.schema)):
            return False
        return bool(error.context) and all(any(map(_misses_kind, branch)) for branch in _branches(error))
    if error.validator == "required":
        # What tells alternatives apart (`do`, `rule`) is missing: the text speaks of none of them.
        return depth == 0 and any(name in _told_apart_by(error.schema) for name in error.validator_value)
    if error.validator == "type":
        return depth == 0
    if error.validator == "enum" and depth == 0:
        return not isinstance(error.instance, str)
    if error.validator == "not":
        # A name that is kept for another alternative (`do` is no name of a released table).
        return "propertyNames" in error.relative_schema_path
    return error.validator in ("const", "enum") and depth == 1 and _tells_apart(error)


def _tells_apart(error: Any) -> bool:
    return error.parent is not None and error.relative_path[0] in _told_apart_by(error.parent.schema)


def _telling(error: Any) -> tuple[int, int]:
    """Order of errors of one alternative: an unknown entry before a missing one before all else, outer before inner."""
    rank = {"additionalProperties": 0, "required": 1}
    return rank.get(error.validator, 2), len(error.relative_path)


def _told_apart_by(schema: Any) -> dict[str, list[str]]:
    """The entries that tell the alternatives of a schema apart (`do`), with the words that they accept."""
    entries = [pair for branch in _alternatives(schema) for pair in branch.get("properties", {}).items()]
    words: dict[str, list[str]] = {name: [] for name, entry in entries if "const" in entry}
    for name, entry in entries:
        if name in words:
            words[name] += map(str, [entry["const"]] if "const" in entry else entry.get("enum", ()))
    return words


def _alternatives(schema: Any) -> Iterator[Mapping[str, Any]]:
    for branch in schema.get("oneOf", ()) if isinstance(schema, Mapping) else ():
        yield branch
        yield from _alternatives(branch)


def _none_fits(error: Any) -> str:
    """What to say when no alternative, or more than one, can have been meant: all that is accepted."""
    words = _told_apart_by(error.schema)
    if isinstance(error.instance, Mapping):
        for name, accepted in words.items():
            if name in error.instance:
                return f"has a '{name}' that is not one of the accepted words: {', '.join(accepted)}"
        needed = [name for branch in error.validator_value for name in branch.get("required", ())]
        if needed and all(each.validator == "required" for each in error.context):
            return f"needs one of: {', '.join(dict.fromkeys(needed))}"
    plain = list(dict.fromkeys(_accepted(error)))
    return f"is not one of the accepted words: {', '.join(plain)}" if plain else "fits none of the accepted forms"


def _accepted(error: Any) -> Iterator[str]:
    for each in error.context:
        if each.validator == "enum" and not each.relative_path:
            yield from map(str, each.validator_value)
        yield from _accepted(each)


def _too_many_fit(error: Any) -> str:
    names = [name for branch in error.validator_value for name in branch.get("required", ()) if name in error.instance]
    return (
        f"has {' and '.join(names)}, where only one may stand" if names else "fits more than one of the accepted forms"
    )


def _explain(error: Any) -> str:
    if error.validator == "enum":
        return f"is not one of the accepted words: {', '.join(map(str, error.validator_value))}{_with_settings(error)}"
    if error.validator == "additionalProperties" and isinstance(error.schema.get("properties"), Mapping):
        known = error.schema["properties"]
        extra = sorted(str(name) for name in set(error.instance) - set(known))
        return f"has the unknown entry {', '.join(extra)}; accepted: {', '.join(known)}"
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"lacks {', '.join(missing)}"
    if error.validator == "type":
        kinds = error.validator_value
        return f"must be of type {kinds if isinstance(kinds, str) else ' or '.join(kinds)}"
    if error.validator == "propertyNames" or "propertyNames" in error.relative_schema_path:
        return f"has an entry whose name breaks the rule {json.dumps(error.validator_value)[:120]}"
    return f"breaks the rule '{error.validator}: {json.dumps(error.validator_value)[:120]}'"


def _with_settings(error: Any) -> str:
    """The words that are accepted too, but as a mapping with settings, such as `{do: bin, edges: [...]}`."""
    if error.parent is None:
        return ""
    plain = set(map(str, error.validator_value))
    found: list[str] = []
    for branch in error.parent.validator_value if isinstance(error.parent.validator_value, Sequence) else ():
        for name, accepted in _told_apart_by(branch).items():
            found += [f"{{{name}: {word}, …}}" for word in accepted if word not in plain]
    return f"; with settings: {', '.join(found)}" if found else ""
