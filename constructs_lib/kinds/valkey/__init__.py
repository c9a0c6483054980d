"""Valkey, a cache or a store of keys in memory."""
