"""What must be fast; each kernel stands beside a plain reference that a test holds it to."""
