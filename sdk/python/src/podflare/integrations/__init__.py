"""Adapters between a sandbox and the tool calls of models."""
