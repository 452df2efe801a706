"""What changes an agent: losses, updates, whole runs. Sees protocols, not cells or worlds."""
