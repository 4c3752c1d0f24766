"""The page of every role and policy, read from the Terraform that makes them.

Plans would show the same with ARNs filled in, but a policy that names what does not exist yet is unknown in a
plan, and a plan loses the comments, which are the reasons. So the HCL is read (docs_hcl.py), in a second.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docs_hcl
from docs_hcl import Block

COLLECTION = Path(__file__).resolve().parents[1]
PROJECT = "{{cookiecutter.project_slug}}"
DOCUMENT = "aws_iam_policy_document"
#: Modules that make a role out of a policy: the rest of its rights are in the module's own document.
ROLE_MODULES = ("service-role", "pipeline-role", "build-project")
TRUSTS = {"pipeline-role": "codepipeline.amazonaws.com", "build-project": "codebuild.amazonaws.com"}

_REFERENCE = re.compile(rf"data\.{DOCUMENT}\.(\w+)")
_LOCAL = re.compile(r"\blocal\.(\w+)")
_INSERTED = re.compile(r"\$\{([^{}]*)\}")


@dataclass
class Statement:
    """One statement of a policy, with everything as a reader sees it."""

    sid: str
    effect: str
    actions: list[str]
    resources: list[str]
    principals: list[str]
    conditions: list[str]
    reason: str

    @property
    def unbounded(self) -> bool:
        """Whether it allows on every resource there is, or every action of a service."""
        wild = "*" in self.resources or any(action.endswith(":*") for action in self.actions)
        return self.effect == "Allow" and wild


@dataclass
class Policy:
    """One policy document, and what uses it."""

    folder: str
    name: str
    uses: list[str]
    exception: str
    statements: list[Statement]

    @property
    def anchor(self) -> str:
        """The id of its heading."""
        return re.sub(r"[^a-z0-9]+", "-", f"{self.folder}-{self.name}".lower()).strip("-")

    @property
    def of_one_resource(self) -> bool:
        """Whether it is the policy of a key, a topic…: there * is that one resource."""
        return any(use.startswith(("aws_kms_key.", "aws_sns_topic_policy.")) for use in self.uses)


@dataclass
class Role:
    """One role: its name, who becomes it, and the policies that say what it may do."""

    folder: str
    name: str
    trusted: str
    policies: list[str]
    module: str | None


def folders() -> list[Path]:
    """Every folder of Terraform that is written by hand, relative to the collection."""
    found = [path.parent for path in (COLLECTION / "shared").rglob("*.tf") if "sandbox" not in path.parts]
    found += [path.parent for path in COLLECTION.glob(f"*/{PROJECT}/terraform/*/*.tf")]
    return sorted({path.relative_to(COLLECTION) for path in found})


def title(folder: Path) -> str:
    """A folder's name as people say it."""
    return (
        folder.as_posix().replace(f"{PROJECT}/", "").replace("shared/", "").replace("/terraform/modules", "")
    )


def policies(folder: Path) -> list[Policy]:
    """The policy documents of one folder."""
    blocks = docs_hcl.read(COLLECTION / folder)
    names = _locals(blocks)
    return [
        Policy(
            title(folder),
            block.labels[1],
            list(_uses(block.labels[1], blocks, names)),
            _exceptions(block.comment),
            [_statement(one, names) for one in block.all("statement")],
        )
        for block in blocks
        if block.type == "data" and block.labels[0] == DOCUMENT
    ]


def roles(folder: Path) -> list[Role]:
    """The roles that one folder makes, by itself or through a module."""
    blocks = docs_hcl.read(COLLECTION / folder)
    names = _locals(blocks)
    found = []
    for block in blocks:
        if block.type == "resource" and block.labels[0] == "aws_iam_role":
            attached = " ".join(
                " ".join(other.attributes.values())
                + " ".join(" ".join(b.attributes.values()) for b in other.blocks)
                for other in blocks
                if other.type == "resource"
                and other.labels[0] in ("aws_iam_role_policy", "aws_iam_role_policy_attachment")
                and f"aws_iam_role.{block.labels[1]}" in other.attributes.get("role", "")
            )
            attached += " ".join(
                " ".join(other.attributes.values())
                for other in blocks
                if other.type == "resource"
                and other.labels[0] == "aws_iam_policy"
                and f"aws_iam_policy.{other.labels[1]}." in attached
            )
            trust = _references(block.attributes["assume_role_policy"], names)
            found.append(
                Role(
                    title(folder),
                    show(block.attributes["name"], names),
                    _code(sorted(_principals(trust, blocks, names))),
                    [name for name in _references(attached, names)],
                    None,
                )
            )
        elif block.type == "module":
            module = block.attributes["source"].strip('"').rsplit("/", 1)[-1]
            if module in ROLE_MODULES:
                found.append(
                    Role(
                        title(folder),
                        show(block.attributes["name"], names),
                        _code([show(block.attributes.get("service", f'"{TRUSTS.get(module, "")}"'), names)]),
                        _references(block.attributes.get("policy", ""), names),
                        module,
                    )
                )
    return found


def unexplained() -> list[str]:
    """Statements that allow without a bound and say nowhere why."""
    return [
        f"{policy.folder}: {policy.name}: {statement.sid}"
        for folder in folders()
        for policy in policies(folder)
        for statement in policy.statements
        if statement.unbounded and not (statement.reason or policy.exception or policy.of_one_resource)
    ]


def page() -> str:
    """The whole page."""
    everything = [(folder, roles(folder), policies(folder)) for folder in folders()]
    anchors = {(policy.folder, policy.name): policy.anchor for _, _, found in everything for policy in found}
    modules = {
        folder.name: next((p.anchor for p in found if p.name == "role"), None)
        for folder, _, found in everything
        if folder.name in ROLE_MODULES
    }
    lines = [
        "# Roles and policies",
        "",
        "Generated from the Terraform at each build of these pages, so it cannot be out of date. `<name>` is",
        "a value that an organisation or a repository gives; the reasons are the comments beside statements.",
        "[Security](../security.md) says what protects what.",
        "",
        "## Roles",
        "",
        "| role | made by | who becomes it | what it may do |",
        "| --- | --- | --- | --- |",
    ]
    for _, made, _ in everything:
        for role in made:
            links = [f"[{name}](#{anchors[role.folder, name]})" for name in role.policies]
            if role.module and modules.get(role.module):
                links.append(f"[{role.module}'s own](#{modules[role.module]})")
            if role.name != "<name>":
                cells = (_code([role.name]), role.folder, role.trusted, ", ".join(links))
                lines.append(f"| {' | '.join(cells)} |")
    for _, _, found in everything:
        if found:
            lines += ["", f"## {found[0].folder}"]
        for policy in found:
            lines += ["", f"### {policy.name} {{ #{policy.anchor} }}", ""]
            if policy.uses:
                lines += [f"Used by {', '.join(f'`{use}`' for use in policy.uses)}.", ""]
            if policy.exception:
                lines += [f"Exception from a check: {policy.exception}.", ""]
            if policy.statements:
                lines += list(_table(policy))
    return "\n".join(lines) + "\n"


def _table(policy: Policy) -> Iterator[str]:
    principals = any(statement.principals for statement in policy.statements)
    yield f"| statement | actions | resources |{' who |' if principals else ''} condition | why |"
    yield "| --- | --- | --- |" + (" --- |" if principals else "") + " --- | --- |"
    for one in policy.statements:
        sid = f"**{one.effect}** {one.sid}" if one.effect != "Allow" else one.sid
        who = f" {_code(one.principals)} |" if principals else ""
        reason = one.reason or (
            "the resource itself" if policy.of_one_resource and "*" in one.resources else ""
        )
        yield (
            f"| {sid} | {_code(one.actions)} | {_code(one.resources)} |{who} {_code(one.conditions)} "
            f"| {_cell(reason)} |"
        )


def show(expression: str, names: dict[str, str], depth: int = 0) -> str:
    """An expression as a reader wants it: no quotes, <name> for what is inserted, of a choice the first."""
    expression = expression.strip()
    choice = re.fullmatch(r"(?P<if>[^?\"]*(\"[^\"]*\")?[^?\"]*) \? (?P<then>.*) : .*", expression)
    if choice and not docs_hcl.is_text(expression):
        return show(re.sub(r"^\(\s*(.*?)\s*\)$", r"\1", choice["then"]), names, depth)
    if docs_hcl.is_text(expression):
        return _INSERTED.sub(lambda found: _inserted(found[1], names, depth), expression[1:-1])
    if re.fullmatch(r"[a-z_]+(\.\w+(\[[\w.]+\])?)+", expression):
        return _inserted(expression, names, depth)
    return _INSERTED.sub(lambda found: _inserted(found[1], names, depth), expression)


def _inserted(expression: str, names: dict[str, str], depth: int) -> str:
    """What a reference stands for: a local's own text, else its name."""
    local = re.fullmatch(r"local\.(\w+)", expression.strip())
    meant = names.get(local[1], "") if local else ""
    if depth < 5 and (docs_hcl.is_text(meant) or re.fullmatch(r"(local|var|data)(\.\w+)+", meant)):
        return show(meant, names, depth + 1)
    path = re.sub(r"\[[^\]]*\]", "", expression.strip())
    if path.startswith("data.aws_"):
        path = path.rsplit(".", 1)[-1]
    return f"<{path.removeprefix('var.').removeprefix('local.').replace('.value', '')}>"


def items(expression: str) -> list[str]:
    """The entries of a list as they are written; a comprehension or a call is one entry."""
    expression = expression.strip()
    if not (expression.startswith("[") and expression.endswith("]")) or expression.startswith("[for "):
        return [expression]
    entries, depth, start, inside = [], 0, 1, False
    for place, char in enumerate(expression):
        inside ^= char == '"'
        if inside:
            continue
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 1:
            entries.append(expression[start:place])
            start = place + 1
    entries.append(expression[start:-1])
    return [entry.strip() for entry in entries if entry.strip()]


def _statement(block: Block, names: dict[str, str]) -> Statement:
    def listed(name: str) -> list[str]:
        return [show(entry, names) for entry in items(block.attributes.get(name, "[]"))]

    conditions = [*block.all("condition")]
    conditions += [
        inner
        for each in block.all("dynamic")
        if each.labels == ("condition",)
        for inner in each.all("content")
    ]
    principals = [
        show(one, names) for who in block.all("principals") for one in items(who.attributes["identifiers"])
    ]
    return Statement(
        show(block.attributes.get("sid", '""'), names),
        show(block.attributes.get("effect", '"Allow"'), names),
        listed("actions") or [f"not {one}" for one in listed("not_actions")],
        listed("resources") or [f"not {one}" for one in listed("not_resources")],
        principals,
        [
            f"{show(one.attributes['test'], names)} {show(one.attributes['variable'], names)} "
            + ", ".join(show(value, names) for value in items(one.attributes["values"]))
            for one in conditions
        ],
        _reason(" ".join([block.comment, *(one.comment for one in block.blocks)])),
    )


def _locals(blocks: Iterable[Block]) -> dict[str, str]:
    return {
        name: value for block in blocks if block.type == "locals" for name, value in block.attributes.items()
    }


def _references(expression: str, names: dict[str, str], depth: int = 0) -> list[str]:
    """The policy documents that an expression names, also through locals."""
    found = _REFERENCE.findall(expression)
    if depth < 3:
        for local in _LOCAL.findall(expression):
            found += _references(names.get(local, ""), names, depth + 1)
    return list(dict.fromkeys(found))


def _uses(name: str, blocks: Iterable[Block], names: dict[str, str]) -> Iterator[str]:
    """Resources, modules and other documents that take a document."""
    for block in blocks:
        if block.type in ("locals", "output") or block.labels == (DOCUMENT, name):
            continue
        texts = [
            *block.attributes.values(),
            *(value for one in block.blocks for value in one.attributes.values()),
        ]
        if any(name in _references(text, names) for text in texts):
            yield ".".join(block.labels if block.type == "resource" else (block.type, *block.labels)).replace(
                f"data.{DOCUMENT}.", "policy document "
            )


def _principals(documents: Iterable[str], blocks: Iterable[Block], names: dict[str, str]) -> set[str]:
    """Who may assume a role, by its trust documents."""
    return {
        "` where `".join([principal, *statement.conditions])
        for block in blocks
        if block.type == "data" and block.labels[0] == DOCUMENT and block.labels[1] in documents
        for statement in (_statement(one, names) for one in block.all("statement"))
        for principal in statement.principals
    }


def _reason(comment: str) -> str:
    """A comment without what only a tool reads."""
    return " ".join(re.sub(r"checkov:skip=\w+:\s*", "", comment).split())


def _exceptions(comment: str) -> str:
    """The reasons for which checks of checkov are skipped in a document, each once."""
    found = re.findall(r"checkov:skip=\w+:\s*(.*?)(?=\s*checkov:skip=|$)", comment)
    return "; ".join(dict.fromkeys(reason.strip().rstrip(".") for reason in found))


def _code(values: Iterable[str]) -> str:
    return "<br>".join(f"`{_cell(value)}`" for value in values if value)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    print(page())
