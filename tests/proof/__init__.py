"""The proof: every kind of fault, as many cases of it as are asked for, and how many were survived.

Each module injects one family of faults into the real program and names its kinds in `PROOFS`. The tests
beside it run each kind at its `quick` count with a fixed seed; `make proof` runs all of them at their
`nightly` counts with a fresh one and prints one table.
"""
