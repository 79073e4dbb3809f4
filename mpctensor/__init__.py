"""Secure multiparty computation for PyTorch."""
