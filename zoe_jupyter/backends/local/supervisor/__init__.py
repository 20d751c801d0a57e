"""One small process per execution that starts its services, watches them and outlives the core.

Lives here: what runs in the supervisor itself, and the few functions about processes that the backend shares with it. Standard library only,
one thread, no import after the start: it is started as ``python -I -S __main__.py RUN_DIR`` and goes on while Zoe is upgraded under it.
Must not live here: anything of Zoe's other rooms, anything that blocks for long. Called by ``backends.local`` only, through its socket.
"""
