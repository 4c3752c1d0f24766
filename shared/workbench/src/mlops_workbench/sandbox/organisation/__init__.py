"""A laptop-sized organisation: a sandbox with two accounts that runs in the background.

``start`` begins and ends the process (``mlops_workbench.sandbox.daemon``), ``record`` tells other processes
where it is, ``foundation`` applies the organisation's Terraform (``applying`` does so in the background) and
puts a commit where a pipeline takes it from, ``approvals`` answers what waits for a person, ``overview``
collects what ``status`` and the web page (``mlops_workbench.sandbox.console``) show.
"""
