"""What the tests lean on: virtual time, wire samples, a scripted wire, leak checks."""
