"""Selective prompt tuning of frozen transformers: the method, without any search or scheduling framework."""
