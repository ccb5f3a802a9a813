"""How jobs, modules and the rest look on a terminal and in a notebook.

tables.py    lists and the results table
sheets.py    one thing and all its facts
progress.py  what a job is doing, in words
live.py      a running job, followed to its end
pages.py     a job and its results as HTML
notebook.py  the cell of a notebook
frame.py     results as plain rows
cells.py     tables of text for spreadsheets
figures.py   numbers, sizes, times and states as people read them
"""
