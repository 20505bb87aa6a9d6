"""What the agent and the user's Python process both speak: frames and the mailbox."""
