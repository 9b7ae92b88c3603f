"""Checking what is stored: files re-hashed against the manifest, and the manifest against files.

``check.Check`` goes over both; ``workers.Workers`` are the processes that read and hash. Like the
engine, this package sees ports and never adapters: where files lie and what is recorded of them it
is told. Nothing is imported here, as a worker, which is waited for, would have to load it.
"""
