"""``jupyter zoe``: the verbs in a shell. Rendering only; commands that need the core come by the entry-point group ``zoe_jupyter.commands``."""
