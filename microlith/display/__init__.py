"""How jobs, modules and the rest look on a terminal; used by the command line and by the demo.

tables.py    lists and the results table
sheets.py    one thing and all its facts
live.py      a running job, followed to its end
figures.py   numbers, sizes, times and states as people read them
"""
