"""Whether a reducer is pure: its steps are executed in surroundings that differ in one thing."""
