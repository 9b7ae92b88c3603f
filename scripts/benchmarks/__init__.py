"""fetcher beside its peers: the same bytes, from the same nginx, on the same machine, in turn.

corpus       the images, made from a seed
web          the nginx that serves them, on loopback addresses only
inputs       the same list in the form that each program reads
tools        which programs are here, and of which version
contenders   one frozen description per program and way to run it
measure      one command: wall time, CPU, peak memory; killed at a time limit
delivery     whether every byte really arrived, checked outside of the timed part
race         A B C A B C …, and what the numbers say when compared round by round
table        the same for people and as JSON
workplace    where files lie while this runs, and that none is left
speeds       these put together: everybody, per corpus
longlist     an image list as long as Open Images, and of its shape
slowweb      a server that takes its time; ``slow`` starts it
watching     what a run says, when, and the memory of all its processes together
imports      these put together: import, first request, size and memory
"""
