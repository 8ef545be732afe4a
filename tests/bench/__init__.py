"""The benchmark: durproj beside the plain loop, SQLite and Python, as ratios measured in turn.

`make bench` runs all of it, `make bench ARGS=--list` names the rows.
"""
