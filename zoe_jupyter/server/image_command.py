"""``jupyter zoe image build``: the images of frameworks, on this machine's engine."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from zoe_jupyter.model.description import FrameworkDescription
from zoe_jupyter.model.errors import ZoeError
from zoe_jupyter.model.images import OWN_PREFIX, default_image
from zoe_jupyter.shop.catalogue import Entry, open_catalogue

DESCRIPTION = "Build the images of frameworks on this machine's Docker Engine; without names, all that the shop has."


class ImageCommand:
    """The command ``image`` of ``jupyter zoe``."""

    name = "image"
    help = "Build the images of frameworks."

    def run(self, words: Sequence[str]) -> int:
        """Returns the exit code; raises ZoeError with the way out."""
        options = _parser().parse_args(list(words))
        return _build(options)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="jupyter zoe image", description=DESCRIPTION, allow_abbrev=False)
    build = parser.add_subparsers(dest="action", required=True).add_parser("build", description=DESCRIPTION)
    build.add_argument("names", nargs="*", metavar="NAME", help="frameworks of the shop")
    build.add_argument(
        "--base", default="", help="image to begin with; one that has all that is needed needs no network"
    )
    build.add_argument(
        "--prefix", default=OWN_PREFIX, help="what names of images begin with, as `image_prefix` of the backend"
    )
    build.add_argument("--index-url", default="", help="where pip finds packages")
    build.add_argument("--network", default="", help="network of the builder, such as host")
    build.add_argument("--source", action="append", default=[], help="folder with more frameworks, as Zoe.shop_sources")
    build.add_argument("--quiet", action="store_true", help="say only what was made")
    return parser


def _build(options: Namespace) -> int:
    from zoe_jupyter.backends.docker.building import Recipe, build

    for entry, framework in _chosen(options):
        tag = default_image(framework.name, framework.version).replace(OWN_PREFIX, options.prefix, 1)
        recipe = Recipe(tag, entry.folder, framework.requires.python, options.base, options.index_url, options.network)
        found = build(recipe, (lambda _: None) if options.quiet else (lambda text: print(text, file=sys.stderr)))
        packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
        print(f"{tag}: Python {found['python_version']}{', ' if packages else ''}{packages}", flush=True)
    return 0


def _chosen(options: Namespace) -> list[tuple[Entry, FrameworkDescription]]:
    catalogue = open_catalogue(tuple(options.source))
    entries = [catalogue.entry(name) for name in options.names] if options.names else list(catalogue.entries())
    chosen = [(each, each.description) for each in entries if isinstance(each.description, FrameworkDescription)]
    if options.names and len(chosen) < len(options.names):
        raise ZoeError("a ZApp has no image of its own: name its frameworks")
    return [pair for pair in chosen if options.names or (pair[0].folder / "image" / "Dockerfile").is_file()]
