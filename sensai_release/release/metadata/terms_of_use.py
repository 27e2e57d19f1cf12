"""The data-use terms for programs: codes of the Data Use Ontology, and an ODRL policy with what is prohibited.

DUO (http://purl.obolibrary.org/obo/duo.owl, version of 2021-02-23) says for what data may be used, ODRL 2.2
(https://www.w3.org/TR/odrl-model/) who must not do what. ODRL has no action for re-identifying or linking persons, so
those two and decisions about persons are actions of our own, of one stable name each, matched to the Data Privacy
Vocabulary (https://w3id.org/dpv) where it has a term. These are a translation: TERMS.md and the agreement govern.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sensai_release.errors import ConfigurationError

PLACE = "params.yaml: catalogue.terms"
DUO = "http://purl.obolibrary.org/obo/"
DUO_ONTOLOGY = "http://purl.obolibrary.org/obo/duo.owl"
PROFILE = "urn:sensai-release:odrl-profile:1"

PREFIXES = {
    "cc": "http://creativecommons.org/ns#",
    "obo": DUO,
    "odrl": "http://www.w3.org/ns/odrl/2/",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
}
"""The prefixes that `policy` uses, for the JSON-LD context of the document around it."""

PERMISSIONS = {
    "DUO_0000004": "no restriction",
    "DUO_0000006": "health or medical or biomedical research",
    "DUO_0000007": "disease specific research",
    "DUO_0000011": "population origins or ancestry research only",
    "DUO_0000042": "general research use",
}
MODIFIERS = {
    "DUO_0000012": "research specific restrictions",
    "DUO_0000015": "no general methods research",
    "DUO_0000016": "genetic studies only",
    "DUO_0000018": "not for profit, non commercial use only",
    "DUO_0000019": "publication required",
    "DUO_0000020": "collaboration required",
    "DUO_0000021": "ethics approval required",
    "DUO_0000022": "geographical restriction",
    "DUO_0000024": "publication moratorium",
    "DUO_0000025": "time limit on use",
    "DUO_0000026": "user specific restriction",
    "DUO_0000027": "project specific restriction",
    "DUO_0000028": "institution specific restriction",
    "DUO_0000029": "return to database or resource",
    "DUO_0000043": "clinical care use",
    "DUO_0000044": "population origins or ancestry research prohibited",
    "DUO_0000045": "not for profit organisation use only",
    "DUO_0000046": "non-commercial use only",
}
_NON_COMMERCIAL = frozenset({"DUO_0000018", "DUO_0000046"})
# What a modifier narrows, as an ODRL left operand; the others narrow the purpose.
_OPERANDS = {
    "DUO_0000022": "odrl:spatial",
    "DUO_0000025": "odrl:elapsedTime",
    "DUO_0000026": "odrl:recipient",
    "DUO_0000028": "odrl:recipient",
    "DUO_0000045": "odrl:recipient",
}
# Action, label, closest terms elsewhere.
_ACTIONS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "re-identification": (
        "urn:sensai-release:action:re-identify:1",
        "Find out who a person in the data is",
        ("https://w3id.org/dpv/risk#UnauthorisedReidentification",),
    ),
    "relinking": (
        "urn:sensai-release:action:relink:1",
        "Link the data to other data about the same persons",
        ("https://w3id.org/dpv#Match", "https://w3id.org/dpv#Combine"),
    ),
    "commercial-use": ("cc:CommercialUse", "Commercial use", ("https://w3id.org/dpv#CommercialPurpose",)),
    "passing-on": ("odrl:distribute", "Pass the data on", ()),
    "decisions-about-individuals": (
        "urn:sensai-release:action:decide-about-individuals:1",
        "Decide about an individual",
        (),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """`permission` and `modifiers` are ids of DUO, `disease` is an IRI, `prohibitions` are keys of `_ACTIONS`."""

    permission: str | None = None
    modifiers: tuple[str, ...] = ()
    disease: str | None = None
    prohibitions: tuple[str, ...] = ()

    @property
    def codes(self) -> tuple[tuple[str, str], ...]:
        """DUO ids with their labels, the permission first."""
        labels = PERMISSIONS | MODIFIERS
        return tuple((code, labels[code]) for code in filter(None, (self.permission, *self.modifiers)))

    @property
    def in_short(self) -> tuple[str, ...]:
        """The terms as sentences for people, as short as their labels; empty when nothing is stated."""
        allowed = "; ".join(label for _, label in self.codes)
        denied = "; ".join(_ACTIONS[name][1].lower() for name in self.prohibitions)
        said = (("In short, for: ", allowed), ("Prohibited: ", denied))
        return tuple(f"{start}{text}." for start, text in said if text)

    def __bool__(self) -> bool:
        return bool(self.permission or self.modifiers or self.prohibitions)


def read_terms(stated: Mapping[str, Any], *, public: bool) -> Terms:
    """`terms` of params.yaml, as its schema lets it through. `public` says whether anybody may have the data.

    Raises `ConfigurationError` for a code that DUO does not have and for terms that contradict each other.
    """
    permission, modifiers = stated.get("permission"), tuple(sorted(stated.get("modifiers", ())))
    prohibitions = tuple(name for name in _ACTIONS if name in stated.get("prohibitions", ()))
    if permission is not None and permission not in PERMISSIONS:
        known = ", ".join(f"{code} ({label})" for code, label in PERMISSIONS.items())
        raise ConfigurationError(f"{PLACE}.permission", "names no data use permission of DUO", f"Accepted: {known}.")
    if not MODIFIERS.keys() >= set(modifiers):
        known = ", ".join(f"{code} ({label})" for code, label in MODIFIERS.items())
        raise ConfigurationError(f"{PLACE}.modifiers", "names no data use modifier of DUO", f"Accepted: {known}.")
    disease = stated.get("disease")
    if (permission == "DUO_0000007") != (disease is not None):
        cure = "Give the IRI of a disease in 'disease' with DUO_0000007, and only then."
        raise ConfigurationError(PLACE, "has a disease without its permission, or the reverse", cure)
    restricted = bool(modifiers or prohibitions or not public)
    if permission == "DUO_0000004" and restricted:
        cure = "Choose another permission: the data are not free of conditions."
        raise ConfigurationError(f"{PLACE}.permission", "says that there is no restriction, and there is one", cure)
    if permission is not None and ("commercial-use" in prohibitions) != bool(_NON_COMMERCIAL & set(modifiers)):
        cure = "Give DUO_0000046 or DUO_0000018 together with the prohibition 'commercial-use', or neither."
        raise ConfigurationError(PLACE, "contradicts itself about commercial use", cure)
    return Terms(permission=permission, modifiers=modifiers, disease=disease, prohibitions=prohibitions)


def policy(terms: Terms, *, target: str, assigner: str | None) -> dict[str, Any] | None:
    """An ODRL policy as a JSON-LD node over `PREFIXES`; `None` when nothing is stated.

    An offer by `assigner` (an IRI) where there is one. What is not permitted is not allowed: who needs more asks.
    """
    if not terms:
        return None
    rules: dict[str, Any] = {
        "@id": f"{target}#policy",
        "@type": "odrl:Offer" if assigner else "odrl:Set",
        "odrl:profile": {"@id": PROFILE},
        "odrl:conflict": {"@id": "odrl:prohibit"},
    }
    if terms.permission:
        rules["odrl:permission"] = [_permission(terms, target, assigner)]
    if terms.prohibitions:
        rules["odrl:prohibition"] = [
            _rule("odrl:Prohibition", _action(name), target, assigner) for name in terms.prohibitions
        ]
    return rules


def _permission(terms: Terms, target: str, assigner: str | None) -> dict[str, Any]:
    constraints = [_constraint(_OPERANDS.get(code, "odrl:purpose"), f"obo:{code}") for code, _ in terms.codes]
    if terms.disease:
        constraints.append(_constraint("odrl:purpose", terms.disease))
    rule = _rule("odrl:Permission", {"@id": "odrl:use"}, target, assigner)
    return rule | {"odrl:constraint": constraints}


def _rule(kind: str, action: dict[str, Any], target: str, assigner: str | None) -> dict[str, Any]:
    rule: dict[str, Any] = {"@type": kind, "odrl:target": {"@id": target}, "odrl:action": action}
    return rule | ({"odrl:assigner": {"@id": assigner}} if assigner else {})


def _constraint(operand: str, value: str) -> dict[str, Any]:
    return {
        "@type": "odrl:Constraint",
        "odrl:leftOperand": {"@id": operand},
        "odrl:operator": {"@id": "odrl:isA"},
        "odrl:rightOperand": {"@id": value},
    }


def _action(name: str) -> dict[str, Any]:
    iri, label, close = _ACTIONS[name]
    action: dict[str, Any] = {"@id": iri}
    if iri.startswith("urn:"):
        action |= {"@type": "odrl:Action", "odrl:includedIn": {"@id": "odrl:use"}}
        action["rdfs:label"] = {"@value": label, "@language": "en"}
    if close:
        action["skos:closeMatch"] = [{"@id": term} for term in close]
    return action
