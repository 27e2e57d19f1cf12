"""Great Expectations' Data Docs of the single-file tables: a second opinion, for the steward's own machine alone.

They lie in work/, which never enters git, DVC or a release. The expectations are the declarations of schemas/, asked of
the columns that later stages use. Recordings are not among them: `validate` itself has looked at every one.

Great Expectations puts failing values into its results unless told otherwise, sends usage statistics, and its pages
load scripts and styles from a dozen outside hosts. Here values stay out of the results, nothing is sent, and the pages
are stripped: no script, no outside request, a Content Security Policy that allows neither.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from sensai_release.errors import ConfigurationError
from sensai_release.pipeline.workspace import Workspace, fresh_folder, write_text
from sensai_release.table.schema import ColumnSpec, TableSchema
from sensai_release.table.store import read_parquet

FOLDER = "data-docs"
_WITHOUT_VALUES = {
    "result_format": "SUMMARY",
    "partial_unexpected_count": 0,
    "include_unexpected_rows": False,
    "exclude_unexpected_values": True,
}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 0 1rem 3rem; }
.own { border: 1px solid; border-radius: .4rem; padding: .6rem 1rem; margin: 1rem 0; }
table { border-collapse: collapse; margin: .6rem 0; max-width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .7rem; border-top: 1px solid #8886; }
td { overflow-wrap: anywhere; }
ul { padding-left: 1.2rem; } nav ul, .breadcrumb { list-style: none; padding: 0; }
.badge { border: 1px solid #8886; border-radius: .3rem; padding: 0 .35rem; font-family: monospace; }
.fa-check-circle::before { content: "✓ "; color: #2c8b5d; } .fa-times::before { content: "✗ "; color: #c0392b; }
.card, .collapse, .modal, .tooltiptext, button, form, input { display: none; }
"""
_BAND = (
    '<div class="own" role="note"><strong>For your own machine alone.</strong> Made by Great Expectations from the '
    "declarations in schemas/; never part of a release. Taken out: values, scripts, and all that would be loaded from "
    "outside hosts.{synthetic}</div>"
)
_SYNTHETIC = " <strong>SYNTHETIC DATA:</strong> made by a program, no participant stands behind any value."
_STRIPPED = re.compile(
    r"<(script|style|iframe|object|form|svg|noscript|footer)\b.*?</\1\s*>|<(?:script|link|img|source|embed|base|input)\b[^>]*>|<!--.*?-->",
    re.DOTALL | re.IGNORECASE,
)
_OUTSIDE_LINK = re.compile(r"""\shref\s*=\s*(["'])(?:[a-z]+:)?//.*?\1""", re.IGNORECASE)
_HANDLER = re.compile(r"""\son[a-z]+\s*=\s*(["']).*?\1""", re.IGNORECASE | re.DOTALL)


def write_data_docs(workspace: Workspace, *, only: str | None = None, synthetic: bool) -> str:
    """Writes work/data-docs/ anew and returns the place of its first page; `only` names one table.

    Reads what `validate` left. Raises `ConfigurationError` when that is no single-file table.
    """
    tables = {
        name: workspace.validated / f"{name}.parquet"
        for name, schema in workspace.schemas.items()
        if only in (None, name)
        and schema.source is not None
        and not schema.source.per_recording
        and (workspace.validated / f"{name}.parquet").is_file()
    }
    if not tables:
        raise ConfigurationError(
            "--data-docs",
            "there is no table with one file that could be read",
            "Settle the findings first; recordings have no Data Docs.",
        )
    with fresh_folder(workspace.work / FOLDER) as folder:
        _build(folder, {name: (workspace.schemas[name], read_parquet(path)) for name, path in tables.items()})
        shutil.rmtree(folder / "static", ignore_errors=True)
        write_text(folder / "index.html", _index(folder, list(tables)))
        band = _BAND.format(synthetic=_SYNTHETIC if synthetic else "")
        for page in sorted(folder.rglob("*.html")):
            write_text(page, stripped(page.read_text(encoding="utf-8"), band))
    return f"work/{FOLDER}/index.html"


def stripped(page: str, band: str) -> str:
    """A page of Data Docs without scripts, handlers, forms, images and outside links, and with our policy and band."""
    previous = None
    # Taking something out can put two halves together that form the next one.
    while page != previous:
        previous, page = page, _HANDLER.sub("", _OUTSIDE_LINK.sub("", _STRIPPED.sub("", page)))
    head = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><style>{_STYLE}</style>'
    page = re.sub(r"(<head\b[^>]*>)", lambda found: found[0] + head, page, count=1, flags=re.IGNORECASE)
    return re.sub(r"(<body\b[^>]*>)", lambda found: found[0] + band, page, count=1, flags=re.IGNORECASE)


def _index(folder: Path, names: list[str]) -> str:
    """A first page in place of theirs, which a script fills."""
    rows = []
    for name in names:
        result = next(page.relative_to(folder).as_posix() for page in folder.glob(f"validations/{name}/**/*.html"))
        rows.append(
            f'<tr><th scope="row">{name}</th><td><a href="{result}">Results</a></td>'
            f'<td><a href="expectations/{name}.html">Expectations</a></td></tr>'
        )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Data Docs</title></head><body>'
        f"<h1>Data Docs</h1><table>{''.join(rows)}</table></body></html>"
    )


def _build(folder: Path, tables: dict[str, tuple[TableSchema, pa.Table]]) -> None:
    # Read when Great Expectations is imported: without it, usage would be sent to its makers.
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    for name in list(context.list_data_docs_sites()):
        context.delete_data_docs_site(name)
    site = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder.resolve())},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder", "show_cta_footer": False},
    }
    context.add_data_docs_site(site_name="steward", site_config=site)
    source = context.data_sources.add_pandas("source")
    for name, (schema, table) in tables.items():
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all rows")
        suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=list(_expectations(schema, table))))
        definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))
        checkpoint = gx.Checkpoint(name=name, validation_definitions=[definition], result_format=_WITHOUT_VALUES)
        context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": table.to_pandas()})
    context.build_data_docs()


def _expectations(schema: TableSchema, table: pa.Table) -> Iterator[Any]:
    """What the schema declares of the columns that are there, in Great Expectations' words."""
    import great_expectations.expectations as gxe

    for column in table.column_names:
        spec = schema.match(column)
        if spec is not None:
            yield from _of_column(column, spec)
    keys = [column for column in schema.primary_key if column in table.column_names]
    if keys and len(keys) == len(schema.primary_key):
        if len(keys) == 1:
            yield gxe.ExpectColumnValuesToBeUnique(column=keys[0])
        else:
            yield gxe.ExpectCompoundColumnsToBeUnique(column_list=keys)


def _of_column(column: str, spec: ColumnSpec) -> Iterator[Any]:
    import great_expectations.expectations as gxe

    if not spec.nullable:
        yield gxe.ExpectColumnValuesToNotBeNull(column=column)
    if spec.dtype in ("number", "integer") and (spec.minimum is not None or spec.maximum is not None):
        yield gxe.ExpectColumnValuesToBeBetween(column=column, min_value=spec.minimum, max_value=spec.maximum)
    if spec.categories:
        yield gxe.ExpectColumnValuesToBeInSet(column=column, value_set=list(spec.categories))
    if spec.identifier is not None:
        yield gxe.ExpectColumnValuesToMatchRegex(column=column, regex=rf"(?i)^\s*(?:{spec.identifier.pattern})\s*$")
