"""Runs in the environment of tests/validators/run.py: roc-validator over a release directory, without a network.

    crate_side.py RELEASE

Prints a JSON list of what RO-Crate 1.2 requires and the crate lacks. roc-validator fetches the JSON-LD context by its
address; here it is given the context that the package rocrate brings (that of RO-Crate 1.3, in which every term that we
use means the same), and nothing else.
"""

from __future__ import annotations

import json
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

import requests
from rocrate_validator.models import ValidationSettings
from rocrate_validator.services import validate
from rocrate_validator.utils.http import HttpRequester

CONTEXT = "https://w3id.org/ro/crate/1.2/context"


class OnlyTheContext:
    """Stands where the validator has its HTTP session."""

    def get(self, url: str, **_: object) -> requests.Response:
        response = requests.Response()
        response.url, response.status_code = url, 504
        if url == CONTEXT:
            response.status_code = 200
            response.headers["Content-Type"] = "application/ld+json"
            response._content = files("rocrate").joinpath("data/ro-crate.jsonld").read_bytes()
        return response

    head = get

    def close(self) -> None:
        pass


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        settings = ValidationSettings(
            rocrate_uri=sys.argv[1],
            profile_identifier="ro-crate-1.2",
            offline=True,
            cache_path=Path(folder) / "http",
            skip_availability_check=True,
        )
        HttpRequester().session = OnlyTheContext()
        issues = validate(settings).get_issues()
    print(json.dumps(sorted(f"{issue.check.identifier}: {issue.message}" for issue in issues)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
