"""Whether a store is what was written, what its log folds to, and what its reducer gives every time."""
