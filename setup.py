"""What Beam's ``--setup_file`` ships to remote workers; all that it says is in pyproject.toml."""

from setuptools import setup

setup()
