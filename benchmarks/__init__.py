"""How fast nbkit is, as ratios against peers and limits in the same run: ``python -m benchmarks --help``.

A benchmark is one file here with a function ``measure(options)`` that returns rows; its docstring's first line says
what it asks. It raises `Skip` where what it needs is not there.
"""
