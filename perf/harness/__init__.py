"""What perf/run is made of.

scenario  what is to be measured: a file under perf/scenarios/
host      the machine it is measured on: its facts, its memory, starting and reaping processes
image     the memory that is moved
peers     the ways to move it; each turns one run into one Sample
report    samples into figures, a table and a file
"""
