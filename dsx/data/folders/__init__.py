"""Folders of images: their layout, and the images in them."""
