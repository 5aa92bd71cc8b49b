"""Access: API keys, what their roles may do, and which of them are in force right now."""
