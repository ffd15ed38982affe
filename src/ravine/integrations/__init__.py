"""Watching runs that other libraries drive: Lightning, Hugging Face's Trainer; TensorBoard.

Each file imports its library when it is imported itself; none is needed to install ravine.
"""
