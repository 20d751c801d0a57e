"""Completion of ``jupyter zoe`` in shells: the same words as in a notebook."""

from __future__ import annotations

from collections.abc import Sequence

from zoe_jupyter.cli import commands
from zoe_jupyter.client.api import Api
from zoe_jupyter.client.http import Http
from zoe_jupyter.client.verbs.completion import Source, complete
from zoe_jupyter.client.verbs.table import Verb

SCRIPT = """\
# zsh knows bash's words for it
type bashcompinit >/dev/null 2>&1 || { [ -z "$ZSH_VERSION" ] || { autoload -Uz +X compinit bashcompinit && compinit && bashcompinit; }; }
_jupyter_zoe() {
  local IFS=$'\\n' first=1
  [ "${COMP_WORDS[0]##*/}" = jupyter ] && first=2
  COMPREPLY=($(jupyter-zoe --complete "${COMP_WORDS[@]:$first:$((COMP_CWORD - first + 1))}" 2>/dev/null))
}
_jupyter_or_zoe() {
  if [ "$COMP_CWORD" -gt 1 ] && [ "${COMP_WORDS[1]}" = zoe ]; then
    _jupyter_zoe
  elif declare -f _jupyter >/dev/null; then
    _jupyter
  fi
}
complete -o default -F _jupyter_zoe jupyter-zoe
complete -o default -F _jupyter_or_zoe jupyter
"""
"""What Jupyter itself completes, where its own script was read, is left to it."""


def completions(verbs: Sequence[Verb], words: Sequence[str]) -> list[str]:
    """What the last of the words could become."""
    *before, text = words or [""]
    found = complete(tuple(verbs), before, text=text, source=Source(Api(Http(patience_s=0.0))))
    others = [] if before else [name for name in commands.commands() if name.startswith(text)]
    return [*found, *others]
