"""The steward's commands: a workspace, keys, a synthetic cohort, a build, a release, the demonstration."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sensai_release.cli.days import day_or_none
from sensai_release.cli.render import Screen
from sensai_release.cli.stages import Jobs
from sensai_release.errors import ConfigurationError


class Role(StrEnum):
    """What a key is for."""

    root = "root"
    steward = "steward"
    reviewer = "reviewer"
    recipient = "recipient"
    escrow = "escrow"


schema = typer.Typer(help="Work with the table schemas.", no_args_is_help=True, rich_markup_mode=None)
trust = typer.Typer(help="Work with a trust file.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    for command in (demo, init, synth, keygen, build, release, status, locate):
        app.command()(command)
    schema.command("check")(schema_check)
    schema.command("draft")(schema_draft)
    trust.command("add")(trust_add)
    app.add_typer(schema, name="schema")
    app.add_typer(trust, name="trust")


def demo(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="A new folder.")] = Path("sensai-release-demo"),
    participants: Annotated[int, typer.Option("--participants", min=6, help="Size of the synthetic cohort.")] = 40,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same cohort.")] = 1,
) -> int:
    """The whole story on a synthetic cohort: two releases, a withdrawal, verify, diff, a tampered copy."""
    from sensai_release.pipeline.demo import demo as run

    screen: Screen = context.obj
    story = run(folder, participants=participants, seed=seed, say=screen.say, quiet=screen.quiet or screen.as_json)
    screen.document(story)
    screen.verdict("The story held." if story["ok"] else "The story did not hold.", ok=bool(story["ok"]))
    screen.say("What to open:")
    for title, path in story["open"].items():
        screen.say(f"  {title:<34} {path}")
    return 0 if story["ok"] else 1


def init(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    force: Annotated[
        bool, typer.Option("--force", help="Add what is missing to a folder in use; nothing is overwritten.")
    ] = False,
) -> None:
    """Make a workspace: params.yaml, dvc.yaml, schemas/, datasheets/, git and DVC ready."""
    from sensai_release.pipeline import versioning
    from sensai_release.pipeline.workspace import init_workspace, open_workspace

    screen: Screen = context.obj
    made, kept = init_workspace(folder, force=force)
    versioning.set_up(folder, name=open_workspace(folder).params.series)
    screen.document({"ok": True, "made": made, "kept": kept})
    screen.say(f"Made {len(made)} files" + (f", kept {len(kept)} as they were." if kept else "."))
    screen.verdict("The workspace is ready.", ok=True)
    screen.say("Next: put the source files where params.yaml says, make keys with 'keygen', then 'build'.")


def synth(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    participants: Annotated[int, typer.Option("--participants", min=1)] = 40,
    sessions: Annotated[int, typer.Option("--sessions", min=1, help="Most sessions of one person.")] = 4,
    seconds: Annotated[int, typer.Option("--seconds", min=1, max=60, help="Length of a recording.")] = 20,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 1,
) -> None:
    """Write a synthetic source folder in the tools' own dialects; it says everywhere that it is synthetic."""
    from sensai_release.pipeline.workspace import Workspace, template_root
    from sensai_release.table.synthetic import generate_source, left_out

    screen: Screen = context.obj
    root = screen.root if (screen.root / "params.yaml").is_file() else template_root()
    schemas = Workspace(root=root).schemas
    with screen.progress("Writing recordings") as progress:
        generate_source(
            folder,
            schemas,
            participants=participants,
            sessions=sessions,
            seconds=seconds,
            seed=seed,
            on_progress=progress,
        )
    absent = left_out(schemas)
    screen.document({"ok": True, "synthetic": True, "participants": participants, "left_out": list(absent)})
    for name in absent:
        screen.say(
            f"Not made: {name}. Recordings are invented for OpenFace and openSMILE only; add such files yourself."
        )
    screen.verdict(f"Synthetic source folder written: {participants} invented participants, nobody real.", ok=True)


def keygen(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The new private key file, outside git.")],
    role: Annotated[Role, typer.Option("--role", help="What the key is for.")],
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="Whose key it is, or which office's.")] = "",
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Put a new root key at PATH; the old one is kept beside it.")
    ] = False,
) -> None:
    """Make a private key file (0600), and PATH.pub beside it for keys that sign, receive or open an escrow."""
    from sensai_release.governance.log import PLACE
    from sensai_release.pipeline.logbook import record
    from sensai_release.pipeline.versioning import would_be_tracked
    from sensai_release.pipeline.workspace import open_workspace
    from sensai_release.privacy.key_rotation import rotate_root_key
    from sensai_release.privacy.keyfile import write_private_key

    screen: Screen = context.obj
    if would_be_tracked(path):
        raise ConfigurationError(
            path.name, "would lie in a git work tree", "Choose a folder outside it: a key in git is a key published."
        )
    if rotate and role is not Role.root:
        raise ConfigurationError("--rotate", "is for root keys", "Make another key under another path.")
    document: dict[str, object] = {"ok": True, "role": role.value}
    if rotate:
        rotation = rotate_root_key(path, name=name or None)
        info = rotation.info
        document["replaced"] = {"key_id": rotation.old_key_id, "kept_as": rotation.kept_as}
    else:
        info = write_private_key(path, role=role.value, name=name or role.value)
    # A key made for a workspace that is in use; many are made before there is one.
    if (screen.root / "params.yaml").is_file() and (screen.root / PLACE).is_file():
        record(open_workspace(screen.root), "key", {"role": role.value, "id": info.key_id, "rotated": rotate})
    screen.document(document | {"key_id": info.key_id})
    if info.completed:
        screen.verdict(f"{path.name} was there: its public half {path.name}.pub is written again.", ok=True)
        screen.say(f"It is the {role.value} key {info.key_id} of {info.name}. No other key was made.")
    else:
        screen.verdict(f"{role.value.capitalize()} key {info.key_id} written, readable by you alone.", ok=True)
    if rotate:
        screen.say(f"The old key {rotation.old_key_id} is kept as {rotation.kept_as}: releases made with it need it.")
        screen.say("A series keeps its key, so change 'series' in params.yaml before the next build.")
    if role is Role.root:
        screen.say("Keep a copy in a safe: without it, a withdrawal cannot be traced to its pseudonym.")
    if role is Role.escrow:
        screen.say(f"Move {path.name} to a safe place away from the source; {path.name}.pub stays in the key folder.")


def trust_add(
    context: typer.Context,
    trust_file: Annotated[Path, typer.Argument(metavar="TRUST", help="The trust file; made when it is not there.")],
    public_keys: Annotated[list[Path], typer.Argument(metavar="PUB...", help="Public key files (PATH.pub).")],
) -> None:
    """Put people's public keys into a trust file. Check each key id with its owner by another channel."""
    from sensai_release.pipeline.trusting import add_people

    screen: Screen = context.obj
    people = add_people(trust_file, public_keys)
    screen.document({"ok": True, "people": people})
    screen.table(
        "Trusted", ("name", "roles", "key id"), [(p["name"], ", ".join(p["roles"]), p["key_id"]) for p in people]
    )


def build(context: typer.Context, jobs: Jobs = None) -> int:
    """Run the pipeline through DVC: only what changed runs again."""
    from sensai_release.pipeline.build import build as run
    from sensai_release.pipeline.workspace import open_workspace

    screen: Screen = context.obj
    outcome = run(open_workspace(screen.root), workers=jobs, quiet=screen.quiet or screen.as_json)
    screen.document(outcome.to_dict())
    screen.table("Build", ("stage", "state"), list(outcome.stages.items()))
    screen.verdict(outcome.verdict, ok=outcome.exit_code == 0)
    for path in outcome.reports:
        screen.say(f"  {path}")
    return outcome.exit_code


def release(
    context: typer.Context,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="MAJOR.MINOR.PATCH, above every earlier one.")],
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="The steward's private key file.")] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="DATE", help="The date that the release states (YYYY-MM-DD).")
    ] = None,
    trust: Annotated[
        Path | None, typer.Option("--trust", metavar="FILE", help="Whose waivers count, where a gate was failed.")
    ] = None,
) -> None:
    """Freeze the candidate into releases/, sign it as steward, add it to DVC, tag it."""
    from sensai_release.pipeline.publish import release as run
    from sensai_release.pipeline.workspace import open_workspace

    screen: Screen = context.obj
    with screen.progress("Hashing and writing") as progress:
        outcome = run(
            open_workspace(screen.root),
            version,
            key=key,
            as_of=day_or_none(as_of, "--as-of"),
            trust=trust,
            on_progress=progress,
        )
    screen.document(outcome.to_dict())
    screen.verdict(f"Released {outcome.name}: {outcome.files} files, signed by key {outcome.signer}.", ok=True)
    screen.say(f"  {outcome.path}")
    screen.say(
        "  copied to the DVC remote." if outcome.pushed else "  no DVC remote is configured: nothing was copied."
    )


def status(context: typer.Context) -> None:
    """Which stages would run again, which releases are here, and how they stand."""
    from sensai_release.pipeline.build import status as run
    from sensai_release.pipeline.workspace import open_workspace

    screen: Screen = context.obj
    document = run(open_workspace(screen.root))
    screen.document(document)
    screen.table("Stages", ("stage", "state"), list(document["stages"].items()))
    known, standing = document["status_document"], document["standing"]
    screen.table(
        f"Releases (status {known['version']}, good until {known['expires']})" if known else "Releases",
        ("release", "standing"),
        [(name, (standing[name] or {"state": "not announced"})["state"]) for name in document["releases"]],
    )


def locate(
    context: typer.Context,
    place: Annotated[str, typer.Argument(metavar="PLACE", help="As a report names it, for example 'face/*.csv#7'.")],
) -> None:
    """Show which source file a report speaks of. The name can identify a person: it goes to your screen alone."""
    from sensai_release.pipeline.build import locate as run
    from sensai_release.pipeline.workspace import open_workspace

    screen: Screen = context.obj
    name = run(open_workspace(screen.root), place)
    screen.document({"ok": True, "file": name})
    screen.verdict(name, ok=True)


def schema_check(context: typer.Context) -> None:
    """Check params.yaml, every schema and every hierarchy of the workspace."""
    from sensai_release.pipeline.workspace import open_workspace
    from sensai_release.privacy.persons import refuse_tables_without_persons
    from sensai_release.privacy.policy import check_policies, undecided_columns
    from sensai_release.table.synthetic_cohort import check_declarations

    screen: Screen = context.obj
    workspace = open_workspace(screen.root)
    tables = list(workspace.schemas)
    check_declarations(workspace.schemas)
    undecided = undecided_columns(workspace.schemas)
    if not undecided:
        check_policies(workspace.schemas, workspace.params.raw["profiles"])
        refuse_tables_without_persons(workspace.schemas, workspace.params.links)
    screen.document({"ok": True, "tables": tables, "undecided": undecided})
    screen.verdict(f"{len(tables)} table schemas are well-formed.", ok=True)
    if undecided:
        screen.say(f"{len(undecided)} columns are undecided, and stop every build: {', '.join(undecided[:20])}")


def schema_draft(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A source file that no schema describes yet.")],
    table: Annotated[str, typer.Option("--table", metavar="NAME", help="The name of the new table.")],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="PATH", help="Instead of schemas/NAME.yaml; never overwritten.")
    ] = None,
) -> None:
    """Profile a file and write a first schema for it: known columns classified, others undecided. Shows no value."""
    from sensai_release.pipeline.drafting import draft

    screen: Screen = context.obj
    outcome = draft(screen.root, file, table=table, output=output)
    document = outcome.document
    screen.document(document)
    screen.say(f"Written by: {document['tool'] or 'no tool of the catalogue'}. Rows: {document['rows']}.")
    screen.table(
        "Entries",
        ("column", "and more", "type", "missing", "outside", "class", "action"),
        [
            (
                entry["column"],
                entry["columns"] - 1 if entry["columns"] > 1 else "",
                entry["type"],
                entry["missing"] or "",
                entry["out_of_range"] or "",
                entry["class"],
                entry["action"],
            )
            for entry in document["entries"]
        ],
    )
    screen.verdict(
        f"Drafted {outcome.path.name}: {document['undecided']} of {document['columns']} columns to decide.", ok=True
    )
    screen.say("Next: read every entry, decide on the undecided ones, then 'schema check'.")
