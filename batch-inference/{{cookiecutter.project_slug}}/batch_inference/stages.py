"""The two builds of the pipeline: staging builds and proves, production repeats what was proven."""

import base64
import functools
import hashlib
from collections.abc import Callable
from pathlib import Path

from configuration import UserError
from release import registry
from release.build import terraform_digest
from release.environments import ENVIRONMENTS, PRODUCTION, STAGING, Place, enter
from release.history import Proposal, report_key, report_url
from release.question import worth_a_question
from release.terraform import Root, orphans, release_stale_lock

from . import canary, definition, report, retarget
from . import record as records
from .canary import Outcome
from .config import TRANSFORM_FILE
from .record import Record, Run, functions_code
from .requests import target

Say = Callable[[str], None]

SUBSTITUTIONS = "substitutions.json"
TERRAFORM = "terraform/batch"


def staging(run: Run, say: Say) -> None:
    """Builds everything once, deploys it to staging, and proposes it for production.

    Raises:
        UserError: it cannot be built or deployed, or the canary file was not answered well.
    """
    made = render(run)
    say("The pipeline's definition is built, and rendered for both environments")
    place = _deploy(run, made[STAGING], say)
    outcome = _tried(run, place.session, made[STAGING], say)
    before = {name: run.history.live(name) for name in ENVIRONMENTS}
    html = report.html(run.settings, made, before, outcome, execution=run.build.execution)
    (run.build.folder / f"{STAGING}.html").write_text(html, encoding="utf-8", newline="\n")
    run.history.put_report(report_key(run.build.execution, STAGING), html)
    if outcome is not None and outcome.problems:
        raise UserError("\n  ".join(["The canary file was not answered well in staging:", *outcome.problems]))
    if made[STAGING].enabled:
        run.history.went_live(made[STAGING])
    else:
        run.history.taken_down(STAGING)
    promote, why = _worth_a_question(run, made, outcome)
    if promote:
        run.history.propose(Proposal(made[PRODUCTION], run.build.execution))
    summary = f"{_proven(made[STAGING], outcome)} {why} {report.settings_in_words(run.settings, PRODUCTION)}"
    say(summary)
    run.build.export("PROMOTE", "yes" if promote else "no")
    run.build.export("SUMMARY", summary)
    run.build.export("REPORT_URL", report_url(run.settings.project, run.build.execution, STAGING))


def production(run: Run, say: Say) -> None:
    """Deploys to production what staging has proven, from what staging's build has left.

    Raises:
        UserError: something is missing or was changed since, or it cannot be deployed.
    """
    folder = run.build.folder
    record = records.read(folder / f"{PRODUCTION}.json", f"{folder.name}/{PRODUCTION}.json")
    proven = records.read(folder / f"{STAGING}.json", f"{folder.name}/{STAGING}.json")
    declared = _found(folder / SUBSTITUTIONS).decode()
    changes = retarget.from_json(declared, f"{folder.name}/{SUBSTITUTIONS}")
    made = retarget.retarget(_found(folder / proven.definition).decode(), changes)
    _stop_unless_same(f"{folder.name}/{record.definition}", made.encode(), record.definition_sha256)
    functions = _found(folder / record.functions)
    digest = base64.b64encode(hashlib.sha256(functions).digest()).decode()
    if digest != record.functions_sha256:
        raise _changed(f"{folder.name}/{record.functions}", digest, record.functions_sha256)
    (folder / record.definition).write_text(made, encoding="utf-8", newline="\n")
    applied = sum(1 for change in changes if change.staging != change.production)
    say(f"The definition is staging's with {applied} declared substitutions; nothing of staging is left")
    _deploy(run, record, say)
    if record.enabled:
        run.history.went_live(record)
    else:
        run.history.taken_down(PRODUCTION)
    say(f"production: {record.in_words()}")


def render(run: Run) -> dict[str, Record]:
    """Builds definition and functions once, and writes what each environment gets; environment -> record."""
    settings, folder = run.settings, run.build.folder
    folder.mkdir(exist_ok=True)
    functions = functions_code(settings.root)
    (folder / records.FUNCTIONS).write_bytes(functions)
    changes = retarget.substitutions(settings)
    (folder / SUBSTITUTIONS).write_text(retarget.to_json(changes), encoding="utf-8", newline="\n")
    built = definition.build(settings, target(settings, STAGING))
    definitions = {STAGING: built, PRODUCTION: retarget.retarget(built, changes)}
    root = Path(TERRAFORM)
    digest = terraform_digest(settings.root / root.parent, (root.name, "modules"))
    made = {}
    for name, text in definitions.items():
        record = records.make(settings, name, text, functions, run.build.commit, digest)
        (folder / record.definition).write_text(text, encoding="utf-8", newline="\n")
        (folder / f"{name}.json").write_text(record.to_json(), encoding="utf-8", newline="\n")
        made[name] = record
    return made


def _tried(run: Run, session: object, record: Record, say: Say) -> Outcome | None:
    """What became of the canary file; None when there is nothing that could answer it."""
    if not record.enabled:
        return None
    package = registry.newest_approved(
        run.build.own.client("sagemaker"), record.model_package_group, file=TRANSFORM_FILE
    )
    if package is None:
        say(f"No version of {record.model_package_group} is approved yet: the canary file is not sent")
        return None
    return canary.run(session, run.settings, run.build.execution, say)


def _worth_a_question(run: Run, made: dict[str, Record], outcome: Outcome | None) -> tuple[bool, str]:
    """Whether a person has to be asked about production, and in words why or why not."""
    if outcome is None and made[STAGING].enabled:
        return False, (
            "Nobody is asked about production before a file was answered in staging: approve a version, then "
            "start the pipeline again (make publish ARGS=--force)."
        )
    live, wanted = run.history.live(PRODUCTION), made[PRODUCTION]
    if not wanted.enabled and live is None:
        return False, "Production has the same already."
    now = f"Production: {live.in_words()}." if live else "Production has nothing yet."
    return worth_a_question(run.build, run.history, wanted, now)


def _proven(record: Record, outcome: Outcome | None) -> str:
    if outcome is not None:
        return f"In staging, {outcome.in_words()}."
    if not record.enabled:
        return "Staging is not enabled, so nothing was tested."
    return (
        f"Staging is deployed; no version of {record.model_package_group} is approved, so no file was tried."
    )


def _found(path: Path) -> bytes:
    """A file that staging's build has left."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(
            f"{path.parent.name}/{path.name}: expected the file that the staging build makes, found none"
        ) from None


def _stop_unless_same(where: str, content: bytes, wanted: str) -> None:
    digest = hashlib.sha256(content).hexdigest()
    if digest != wanted:
        raise _changed(where, digest, wanted)


def _changed(where: str, got: str, wanted: str) -> UserError:
    return UserError(
        f"{where}: expected what staging has proven (SHA-256 {wanted}), got {got}. Nothing is changed; "
        "push again"
    )


def _deploy(run: Run, record: Record, say: Say) -> Place:
    """Deploys a record; its files are in the build's folder.

    Returns:
        The environment, entered as its deployment role.

    Raises:
        UserError: Terraform did not succeed; its own words are in the log.
    """
    environment = record.environment
    place = enter(run.settings.project, run.build.own, environment)
    before = run.history.live(environment)
    say(f"{environment}: {record.in_words()} (live: {before.in_words() if before else 'nothing'})")
    root = _root(run, place, record)
    root.initialise()
    release_stale_lock(root, place, functools.partial(run.build.other_builds, environment), say)
    found = orphans(place, root.plan())
    if found:  # what an interrupted deployment has left behind
        for address, existing in found.items():
            say(f"{existing} exists, and the state does not know it: taken in as {address}")
            root.adopt(address, existing)
        root.plan()
    root.apply()
    if not record.enabled:
        say(f"s3://{record.bucket} stays, with all its files; the rest of {environment} is taken down")
    return place


def _root(run: Run, place: Place, record: Record) -> Root:
    """Terraform's root with this record as its input."""
    path = run.build.folder / f"{record.environment}.json"
    path.write_text(record.to_json(), encoding="utf-8", newline="\n")
    variables = {
        "environment": record.environment,
        "deployment": str(path),
        "deployment_role_arn": place.role_arn,
    }
    return Root(run.settings.root / TERRAFORM, place.state, variables)
