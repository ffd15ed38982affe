"""Any rule on any device: parameters stepped block by block."""
