"""Everything that imports Ray, but for the Trainable."""
