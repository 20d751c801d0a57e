"""Figures that the README and the issues quote, one file each: ``python -m benchmarks NAME``.

Lives here: what is measured, and the runner that takes both sides of a ratio in turns. Nothing of the product imports it.
"""
