"""What configuration files of every repository have in common: reading them, and `config/project.yaml`."""
