"""Run a rule: one parameter after the other, many at once, or for a whole population.

eager.py        the reference: one parameter after the other
native/         elementwise rules on the CPU: C++ that visits parameters where they are
block/          any rule on any device: parameters in blocks, kernels by inductor
population.py   many members at once
graphs/         updates traced, taken apart and compiled, for the others
shards.py       parameters spread over processes
memory.py       what a rule remembers, in bytes
"""
