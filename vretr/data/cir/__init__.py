"""Benchmarks of composed retrieval: CIRCO, CIRR, FashionIQ, GeneCIS, as their authors lay them out.

Each module has a `load` that gives a `Benchmark`: pictures, queries, and what its figures are. How
queries are composed and ranked is the same for all of them (`vretr.evaluation.cir`).
"""
