"""Images: decoding, and images that stay on disk."""
