"""Importers: one folder a framework, all make the same graph."""
