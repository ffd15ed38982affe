"""What benchmarks/population.py measures: the problems, and who trains them."""
