"""Elementwise rules on the CPU, as C++ that visits parameters where they are."""
