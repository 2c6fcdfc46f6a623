"""Backbone families: one small adapter a family, and a registry of names."""
