#!/usr/bin/env bash
# Build sdist and wheel from what is committed: a development bundle in the working tree is never packed.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
clone=$(mktemp -d)
trap 'rm -rf "$clone"' EXIT

if [ -n "$(git status --porcelain)" ]; then
  echo "build: uncommitted changes are not in what is built" >&2
fi
git clone --quiet --no-hardlinks "$root" "$clone/zoe"
PATH="$root/.venv/bin:$PATH" "$root/.venv/bin/python" -m build --no-isolation --outdir "$root/dist" "$clone/zoe"
