"""Crashing real runs of a log and a reducer, and telling whether anything of it can be seen afterwards."""
