"""Fuzz targets for what reads other people's bytes, and what runs them.

A target states a law and tries it on any input. ``registry`` has them all; ``mutation`` makes
inputs from seeds by chance alone, repeatably; ``guided`` lets coverage choose them, where atheris
is installed. What was found is kept, minimised, under ``tests/fuzz/corpus``, and tried whenever the
tests run.
"""
