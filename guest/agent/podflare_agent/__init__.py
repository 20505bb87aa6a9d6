"""The agent: process 1 of the microVM, which does what the host asks over one channel."""
