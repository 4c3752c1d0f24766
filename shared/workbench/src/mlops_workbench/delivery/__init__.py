"""Brings this repository's pipeline to AWS and takes it down again: register, publish, status, unregister."""
