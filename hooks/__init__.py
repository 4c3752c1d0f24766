"""What generating does: checks the answers, assembles the repository, makes its first commit, registers it.

A template's two hooks are stubs that call `generation`, under whatever Python runs cookiecutter: so it uses
the standard library only, in Python 3.8's syntax. `extension` tells the stubs where all this is.
"""
