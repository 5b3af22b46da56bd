"""Test helpers: virtual time, sample rows, scripted servers, checks for leaks."""
