"""Completion of lines with ``%zoe``: our words alone, whatever else IPython would think of."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from zoe_jupyter.attach.verbs import VERBS
from zoe_jupyter.client.verbs.completion import Source, complete
from zoe_jupyter.client.verbs.table import Faces

_LINE = re.compile(r"(?:[^'\"#]*=)?\s*%%?zoe\s(?P<words>.*)", re.DOTALL)
_TABLE = tuple(verb for verb in VERBS if verb.faces in (Faces.ALL, Faces.NOTEBOOK))


class Only(list[Any]):
    """Completions beside which IPython shows no others, also when there are none: it lets only those who have some keep others out."""

    def __len__(self) -> int:
        return max(1, super().__len__())


def matcher(source: Source) -> Callable[[Any], dict[str, Any]]:
    """A matcher for IPython, of the second version of its interface."""

    def zoe_matcher(context: Any) -> dict[str, Any]:
        from IPython.core.completer import SimpleCompletion

        line = _LINE.fullmatch(context.text_until_cursor)
        if line is None:
            return {"completions": [], "matched_fragment": ""}
        *before, text = _split(line["words"])
        found = complete(_TABLE, before, text=text, source=source)
        completions = Only(SimpleCompletion(text=word, type="zoe") for word in found)
        return {"completions": completions, "matched_fragment": text, "suppress": True, "ordered": True}

    vars(zoe_matcher).update(matcher_api_version=2, matcher_identifier="zoe", matcher_priority=1000.0)
    return zoe_matcher


def _split(words: str) -> Sequence[str]:
    """Words, the last of which is being written and may be empty."""
    return [*words.split(), *([] if words and not words[-1].isspace() else [""])]
