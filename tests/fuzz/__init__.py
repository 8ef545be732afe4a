"""Coverage-guided fuzzing: a target a module, its invariant in the first sentence of it.

`cd tests && python -m fuzz.line_reader fuzz/corpus/line_reader -max_total_time=600` (libFuzzer's own
arguments) looks for an input that breaks the invariant. New inputs that reach new code go to the first folder
named; `-merge=1` keeps of several folders what is needed to reach all of it. The suite replays the corpus.
"""
