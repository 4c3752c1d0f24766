"""Measuring a model on the test set, and the gate.

metrics (their one table, and the gate: good enough?), scores (how they are computed), settings (the command
line), models (asking the new one and the live one, each in a process of its own: ask_model), measure
(everything that is found), triage, comparison and paired (beside the live model).
"""
