"""How jobs, modules and the rest look on a terminal and in a notebook.

tables.py         lists and the results table
details.py        one thing and all its facts
comparison.py     jobs beside one another
progress.py       what a job is doing, in words
live.py           a running job, followed to its end
transfer.py       a download or an upload in progress
notebook.py       the cell of a notebook
notebook_html.py  a job and its results as HTML
data_frame.py     results as plain rows
attached.py       gives documents of the contract their HTML, rows and data frame
csv_cells.py      tables of text for spreadsheets
numbers.py        numbers, sizes, times and states as people read them
"""

from microlith.display.attached import attach

attach()
