"""Several recipes: what each came to, ranks, performance profiles, and who is best over all of them."""
