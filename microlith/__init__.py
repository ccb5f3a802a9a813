"""Microlith: breaks a fine-tuned transformer classifier into small modules, one per concern."""

from importlib.metadata import version

__version__ = version("microlith")
