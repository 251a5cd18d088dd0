"""File formats: each reads a file piece by piece, whatever its size, and says which rows it could not read."""
