"""What stands for containers: a process tree with an ``/opt/ml`` and a clean environment of its own.

``process`` starts one under ``supervisor.py``; ``hosts`` gives each machine of a job its place; ``functions``
runs Lambda functions for whoever calls them; ``inside`` has the scripts that an image's Python runs.
"""
