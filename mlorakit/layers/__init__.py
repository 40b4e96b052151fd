"""Layers that the backbones are built from."""
