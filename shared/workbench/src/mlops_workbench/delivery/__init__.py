"""Brings this repository's pipeline to AWS and takes it down again: `python -m mlops_workbench.delivery --help`."""
