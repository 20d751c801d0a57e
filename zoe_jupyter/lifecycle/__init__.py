"""What may happen to an execution and what follows: ``step(execution, event, now) -> (execution, effects)``.

Lives here: events (past tense), effects (imperative), the one transition table, the story.
Must not live here: clock, randomness, I/O, drivers.
Called by the engine only. Imports ``model``.
"""
