"""Readers and writers of the byte formats that deliverables are made of."""
