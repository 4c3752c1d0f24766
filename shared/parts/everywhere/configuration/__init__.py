"""What every repository has in common: configuration files, `config/project.yaml`, and the command line."""
