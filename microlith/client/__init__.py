"""The Python client.

client.py       Client, plain calls: those of AsyncClient, run from start to end
aio.py          AsyncClient, the calls as coroutines
jobs.py         calls about jobs
modules.py      calls about modules and their files
catalog.py      calls about methods, models, datasets and uploads
handles.py      a job and its modules as things that act
options.py      what `decompose` can be told
blocking.py     how a coroutine becomes a plain call
transport.py    the two ways to wait: holding the thread, or giving way to an event loop
connection.py   one server: key, time-outs, redirects, refusals as exceptions
uploads.py      files and folders to the server
download.py     stored files to disk
archive.py      a module's archive to a folder
answers.py      answers as wire models
retry.py        when to ask again
follow.py       a job's events as they happen, over any number of connections
sse.py          server-sent events from bytes
filters.py      what a list of jobs can be narrowed by
"""

from microlith.client.aio import AsyncClient
from microlith.client.client import Client
from microlith.client.filters import JobFilters
from microlith.client.handles import AsyncJobHandle, AsyncModuleHandle, JobHandle, ModuleHandle, Modules
from microlith.client.retry import Retry

__all__ = [
    "AsyncClient",
    "AsyncJobHandle",
    "AsyncModuleHandle",
    "Client",
    "JobFilters",
    "JobHandle",
    "ModuleHandle",
    "Modules",
    "Retry",
]
