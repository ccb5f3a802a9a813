"""The cell of a notebook, where a job shows itself in one place until it is over."""

from __future__ import annotations

import sys
from collections.abc import Callable

from microlith.contract import Job
from microlith.display import notebook_html


def is_here() -> bool:
    """Whether this code runs in a notebook's kernel. IPython is asked only if it is there already."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


def cell() -> Callable[[Job], object]:
    """A place below the cell; every job shown there takes the place of the one before."""
    from IPython.display import HTML, display

    handle = display(HTML(""), display_id=True)
    return lambda job: handle.update(HTML(notebook_html.job(job)))
