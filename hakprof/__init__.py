"""Measure, explain and compare memory allocators, with proof of which allocator ran."""
