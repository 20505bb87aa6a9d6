"""Tests of what the rig does without its machine."""
