"""Files of strangers are opened by a process that can do nothing else.

It has limits on memory, CPU seconds, time, file sizes and descriptors; it has no network, no key, and of the disk only
the files it is asked about. What a file does to its reader ends there: the caller gets a sentence, and everybody else
is served. A few such processes run at a time, at the lowest priority for the CPU.
"""

from app.confined.limits import Limits
from app.confined.run import Reading, run

__all__ = ["Limits", "Reading", "run"]
