"""The Python client.

client.py       Client, the calls
connection.py   one server: key, time-outs, redirects, refusals as exceptions
uploads.py      files and folders to the server
answers.py      answers as wire models
retry.py        when to ask again
follow.py       a job's events as they happen, over any number of connections
sse.py          server-sent events from bytes
filters.py      what a list of jobs can be narrowed by
"""

from microlith.client.client import Client
from microlith.client.filters import JobFilters
from microlith.client.retry import Retry

__all__ = ["Client", "JobFilters", "Retry"]
