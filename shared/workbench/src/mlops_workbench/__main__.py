"""The one door: `python -m mlops_workbench COMMAND`.

It also runs straight out of the wheel, with nothing installed and nothing set, also on Windows:

    python3 wheels/mlops_workbench-….whl/mlops_workbench doctor

In the syntax of Python 3.8, like all that the doctor imports: whoever has an old Python is told so.
"""

import importlib
import os
import sys

OLDEST = (3, 11)
OLDEST_DOCTOR = (3, 8)
DELIVERY = "mlops_workbench.delivery.cli"
#: command -> the module whose `main` it is, and what it does
COMMANDS = {
    "register": (DELIVERY, "create the Bitbucket repository, its webhook and the pipeline in AWS"),
    "unregister": (DELIVERY, "take down what register made; refuses while there are models or data"),
    "publish": (DELIVERY, "send the commit that is checked out to AWS, which starts the pipeline"),
    "status": (DELIVERY, "what is registered, and how the pipeline is"),
    "doctor": ("mlops_workbench.doctor.cli", "what is wrong here: machine, credentials, configuration"),
    "cost": ("mlops_workbench.cost.cli", "what this repository costs in a month, estimated"),
    "tidy": ("mlops_workbench.upgrade", "after `cruft update`: remove what only an older template had"),
    "sandbox": ("mlops_workbench.sandbox.cli", "two AWS accounts on this machine; the same as mlops-sandbox"),
}


def usage() -> str:
    """What --help prints."""
    lines = ["usage: python -m mlops_workbench COMMAND [OPTIONS]", "", "In a repository's top folder:"]
    lines += [f"  {name:<12}{does}" for name, (_, does) in COMMANDS.items()]
    return "\n".join([*lines, "", "python -m mlops_workbench COMMAND --help says more."])


def main(arguments: "list[str] | None" = None) -> int:
    """Runs a command; the exit status is its own, or 2 when there is no such command."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] in (["-h"], ["--help"]):
        print(usage())
        return 0
    if not given or given[0] not in COMMANDS:
        found = f"got {given[0]}" if given else "got none"
        print(f"expected a command, {found}\n\n{usage()}", file=sys.stderr)
        return 2
    name = given[0]
    oldest = OLDEST_DOCTOR if name == "doctor" else OLDEST
    if sys.version_info < oldest:
        print(
            "Python: expected {}.{} or newer, got {}.{}: https://python.org/downloads".format(
                *OLDEST, *sys.version_info[:2]
            ),
            file=sys.stderr,
        )
        return 1
    module, _ = COMMANDS[name]
    try:
        command = importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = str(error.name).split(".")[0]
        fix = "go to a repository's top folder" if missing == "configuration" else "make setup setup-delivery"
        print(f"{name}: expected the package {missing}, found none: {fix}", file=sys.stderr)
        return 1
    return int(command.main(given if module == DELIVERY else given[1:]))


if __name__ == "__main__":
    # Run as a folder: Python has put the package on the path, not what is around it.
    if not __package__:
        sys.path[:1] = [os.getcwd(), os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
    sys.exit(main())
