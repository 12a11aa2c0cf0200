"""The parts of perf/run.

scenario  what is to be measured: a file under perf/scenarios/
host      the machine of a run: its facts, its memory, starting and reaping processes
image     the memory that is moved; process_memory: that of a running process
peers     ramjet, raw sockets and qemu (by qmp) move it: each turns one run into one Sample
tls       credentials for both ends
measure   a scenario's peers, taking turns
report    samples into figures, a page and files; page: blocks into markdown and HTML; plots: SVG
remote    a path between two hosts, with advise's arithmetic; remote_page: its results
growth    sweeps; model: the fit to them; scaling: their page
"""
