"""A world for the engine: everything around it, in one thread, in virtual time, from one seed.

The engine, the frontier, the ledger, what the landing does and (in some seeds) the SQLite manifest
are the real ones. What they stand on is simulated: hosts and the network between, a disk, the
manifest's clock and queue, signals, kill -9. ``run.simulate(seed)`` lives one such life, from a
list of images to the end of the last run, and reports every breach of a law that could be seen.

    scenario   what a seed draws, as values; ``draw`` draws it, and ``manners`` what owners say,
               whether it is an audit, and workers
    web        pages and hosts: what a request would be answered with, and what must come of it
    network    ``ports.Transport`` over the web
    fleet      the real crew of several processes, over ``pipe`` s instead of processes
    disk       ``ports.Store``, which can be full, fail, and be cut off at any step
    landing    the real landing, its threads replaced by turns of the loop
    book       ``ports.Manifest``: its rules in memory, or the real database beside them
    watch      a frontier that is looked at while it works
    witness    sees all of it from outside, and knows the laws: with ``gate`` those of host groups,
               with ``owners`` those of robots.txt
    bounds     how long anything may take, and how often it may be done
    onerun     one run, wired as the command line wires it
    run        one seed, from its first run to its last
    sweep      many seeds, over several processes
"""
