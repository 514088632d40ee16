"""Folders of images: how they are laid out and read."""
