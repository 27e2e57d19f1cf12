"""The command line: arguments, rendering, exit codes, and nothing else."""

from sensai_release.cli.app import main

__all__ = ["main"]
