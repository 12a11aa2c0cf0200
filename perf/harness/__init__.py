"""What perf/run is made of.

scenario  what is to be measured: a file under perf/scenarios/
host      the machine it is measured on: its facts, its memory, starting and reaping processes
image     the memory that is moved; process_memory: that of a running process
peers     ramjet and raw sockets move it, qemu (by qmp) does: each turns one run into one Sample
tls       credentials for both ends
measure   a scenario's peers, taking turns
report    samples into figures, a page and files; page: blocks into markdown and HTML; plots: SVG
remote    a path between two hosts, by advise's arithmetic; remote_page: what it found
growth    sweeps; model: what is fitted to them; scaling: the page they make
"""
