"""Side by side with a peer library: run `make bench`."""
