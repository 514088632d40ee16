"""Images: decoding, and images that are decoded from disk when they are needed."""
