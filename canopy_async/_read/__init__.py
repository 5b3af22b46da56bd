"""Reads of one list: a walk, its requests ahead, and the rows as a stream."""
