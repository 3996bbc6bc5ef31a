"""Pictures in and out: reading, encoding, colours, sizes, and what a picture says of its making."""
