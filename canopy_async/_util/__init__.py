"""Helpers that know nothing of Canopy: arguments, instants, tasks, files, texts."""
