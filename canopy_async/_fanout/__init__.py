"""Reads of many identities under one budget, merged as their events arrive."""
