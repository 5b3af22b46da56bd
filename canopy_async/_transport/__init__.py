"""What admits the requests of a session: turns, and the policies of the gate."""
