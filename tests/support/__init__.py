"""Helpers of the tests: virtual time, wire samples, a scripted wire, leak checks."""
